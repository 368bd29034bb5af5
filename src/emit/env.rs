//! Properties as `KEY='value'` lines, in a text that grows.

/// Lines collected to be written at once.
pub type Properties = dmhelper_core::env::Properties<String>;
