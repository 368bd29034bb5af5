//! Links and nodes for systems without udevd: what a device should have (pure), and making it so.

pub mod apply;
pub mod component;
pub mod plan;
pub mod probe;
