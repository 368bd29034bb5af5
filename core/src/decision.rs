//! What an event means: the one decision table, for the rules' import program, for explanations and for the
//! standalone mode. The rule files state it a second time only for events that need no process.

use crate::cookie::{Cookie, Flags};
use crate::dm::Device;

/// What the kernel says has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The device exists; it has no table yet. Or somebody asks to see it again (coldplug).
    Add,
    /// It was resumed or renamed. Or something else changed, or somebody closed it after writing.
    Change,
    /// It is gone.
    Remove,
    /// Anything else: nothing of ours.
    Other,
}

/// An event, and what the udev database said of the device before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub action: Action,
    /// The tool's cookie, if a tool caused the event.
    pub cookie: Option<Cookie>,
    /// Caused by a write to the device's `uevent` file (SYNTH_UUID, from Linux 4.13 on).
    pub synthetic: bool,
    /// Somebody asks that the device be taken as a tool's event without flags would have it (`dmhelper refresh`):
    /// [`REFRESH`]. Only root may write to the `uevent` file that it comes from.
    pub refresh: bool,
    /// The kernel announces that the disk has become read-only.
    pub disk_ro: bool,
    /// The flags of the device's last event that a tool caused. Of a device without any record, activated where nobody
    /// looked, whoever asks for a decision puts in what its UUID and name tell.
    pub recorded: Flags,
}

/// What `dmhelper refresh` adds to its synthetic event; the kernel passes it on as [`REFRESH_PROPERTY`].
pub const REFRESH: &str = "DMHELPERACTIVATE=1";
/// The property of an event that asks for a refresh. Linux puts `SYNTH_ARG_` before what was written (4.13).
pub const REFRESH_PROPERTY: &str = "SYNTH_ARG_DMHELPERACTIVATE";

/// The property that keeps the cookie's own "disable other rules" bit apart from what was derived with it.
pub const COOKIE_DISABLE_OTHER_RULES: &str = "DM_COOKIE_DISABLE_OTHER_RULES_FLAG";
/// The property of the derived bit: the one that foreign rules test.
pub const DISABLE_OTHER_RULES: &str = "DM_UDEV_DISABLE_OTHER_RULES_FLAG";

impl Event {
    /// From a udev environment, asked by variable name.
    pub fn from_env<T: AsRef<str>>(mut get: impl FnMut(&str) -> Option<T>) -> crate::fault::Result<Self> {
        let is_one = |value: Option<T>| value.is_some_and(|value| value.as_ref() == "1");
        let action = match get("ACTION").as_ref().map(AsRef::as_ref) {
            Some("add") => Action::Add,
            // By hand there is no event: tell what one without news would say.
            Some("change") | None => Action::Change,
            Some("remove") => Action::Remove,
            Some(_) => Action::Other,
        };
        let cookie = get("DM_COOKIE").as_ref().map(AsRef::as_ref).filter(|text| !text.is_empty()).map(str::parse).transpose()?;
        Ok(Self {
            action,
            cookie,
            synthetic: get("SYNTH_UUID").is_some(),
            // No event has both.
            refresh: action == Action::Change && cookie.is_none() && is_one(get(REFRESH_PROPERTY)),
            disk_ro: is_one(get("DISK_RO")),
            recorded: recorded_flags(|name| is_one(get(name))),
        })
    }

    /// The same event of this very device: one that is suspended or without a table cannot be refreshed. `flags` are those
    /// that its UUID and name tell. A refresh puts them in place of the recorded ones; only a low priority stays, which
    /// withholds nothing: without it links could move between an origin and its snapshot.
    #[must_use]
    pub fn of_device(self, device: &Device, flags: impl FnOnce(&Device) -> Flags) -> Self {
        let is_live = !device.suspended && device.details.is_none_or(|details| details.live_table);
        let low = Flags::from_bits(self.recorded.bits() & Flags::LOW_PRIORITY.bits());
        match self.refresh {
            true if is_live => Self { recorded: flags(device).union(low), ..self },
            _ => Self { refresh: false, ..self },
        }
    }

    /// Whether a tool stands behind it: its cookie says all that counts, whatever is recorded.
    pub fn is_genuine(&self) -> bool {
        self.cookie.is_some_and(|cookie| cookie.flags().contains(Flags::PRIMARY_SOURCE))
    }
}

/// The flags that a device's record holds for events without a tool, asked by property name: the cookie's own bit of
/// "disable other rules", not the derived one; and no subsystem's flags, which speak of their own event only.
pub fn recorded_flags(mut is_set: impl FnMut(&'static str) -> bool) -> Flags {
    let recorded = Flags::from_properties(|name| is_set(if name == DISABLE_OTHER_RULES { COOKIE_DISABLE_OTHER_RULES } else { name }));
    Flags::from_bits(recorded.bits() & 0xff)
}

/// The rows of the decision table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The kernel made the device: nothing to use yet.
    GenuineAdd,
    /// A tool resumed or renamed it.
    GenuineChange,
    /// Asked again about a device that no tool has activated.
    ColdplugInactive,
    /// Asked again about a device that a tool activated before, or that was activated where nobody recorded it.
    ColdplugActive,
    /// Asked to take a live device for activated, by nobody's flags.
    Refreshed,
    /// A change without a tool, of a device that no tool has activated.
    SpuriousInactive,
    /// A change without a tool, of a device that a tool activated before.
    SpuriousActive,
    /// The disk has become read-only.
    ReadOnly,
    /// The device is gone, or the event is none of ours: only its cookie matters.
    Ignored,
}

/// What the rules are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The table's row.
    pub kind: Kind,
    /// The flags in force: the cookie's, or the recorded ones where there is no tool behind the event.
    pub flags: Flags,
    /// DM_ACTIVATION: whoever stacks something on the device should look now.
    pub activation: bool,
    /// The device is not to be touched: no name, no links, no watch.
    pub disabled: bool,
}

impl Decision {
    /// Decides an event.
    pub fn of(event: &Event) -> Self {
        let cookie_flags = event.cookie.map_or(Flags::default(), Cookie::flags);
        let genuine = event.is_genuine();
        let active_before = event.recorded.contains(Flags::PRIMARY_SOURCE);
        let flags = if genuine { cookie_flags } else { cookie_flags.union(event.recorded) };

        //                                                  kind                    flags         activation disabled
        let (kind, flags, activation, disabled) = match event.action {
            Action::Remove | Action::Other => (Kind::Ignored, Flags::default(), false, true),
            _ if event.disk_ro => (Kind::ReadOnly, cookie_flags, false, true),
            _ if genuine => (Kind::GenuineChange, flags, true, false),
            Action::Add if active_before => (Kind::ColdplugActive, flags, true, false),
            Action::Add if event.synthetic => (Kind::ColdplugInactive, flags, false, true),
            Action::Add => (Kind::GenuineAdd, flags, false, true),
            Action::Change if event.refresh => (Kind::Refreshed, event.recorded.union(Flags::PRIMARY_SOURCE), true, false),
            Action::Change if active_before => (Kind::SpuriousActive, flags, false, false),
            Action::Change => (Kind::SpuriousInactive, flags, false, false),
        };
        Self { kind, flags, activation, disabled }
    }

    /// Whether LVM asks that nobody reads the volume yet.
    pub fn noscan(&self, device: &Device) -> bool {
        self.flags.contains(Flags::LVM_NOSCAN) && device.uuid.as_ref().is_some_and(|uuid| uuid.is_lvm())
    }

    /// Whether foreign rules must leave the device alone.
    pub fn disable_other_rules(&self, device: &Device) -> bool {
        let inactive = !self.flags.contains(Flags::PRIMARY_SOURCE);
        self.disabled || inactive || device.suspended || self.noscan(device) || self.flags.contains(Flags::DISABLE_OTHER_RULES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: u16 = 1 << 6;

    fn event(action: Action) -> Event {
        Event { action, cookie: None, synthetic: false, refresh: false, disk_ro: false, recorded: Flags::default() }
    }

    fn genuine(action: Action, flags: u16) -> Event {
        Event { cookie: Some(Cookie::new(u32::from(flags) << 16 | 0x1234)), ..event(action) }
    }

    fn active_before(event: Event) -> Event {
        Event { recorded: Flags::from_bits(PRIMARY), ..event }
    }

    /// One row: kind, DM_UDEV_PRIMARY_SOURCE_FLAG, DM_ACTIVATION, disabled.
    fn row(event: Event) -> (Kind, bool, bool, bool) {
        let decision = Decision::of(&event);
        (decision.kind, decision.flags.contains(Flags::PRIMARY_SOURCE), decision.activation, decision.disabled)
    }

    #[test]
    fn a_genuine_add_is_disabled() {
        assert_eq!(row(event(Action::Add)), (Kind::GenuineAdd, false, false, true));
    }

    #[test]
    fn a_genuine_change_activates() {
        assert_eq!(row(genuine(Action::Change, PRIMARY)), (Kind::GenuineChange, true, true, false));
    }

    #[test]
    fn a_coldplug_add_of_an_inactive_device_is_disabled() {
        let coldplug = Event { synthetic: true, ..event(Action::Add) };
        assert_eq!(row(coldplug), (Kind::ColdplugInactive, false, false, true));
    }

    #[test]
    fn a_coldplug_add_of_an_active_device_activates_again() {
        let coldplug = Event { synthetic: true, ..event(Action::Add) };
        assert_eq!(row(active_before(coldplug)), (Kind::ColdplugActive, true, true, false));
    }

    #[test]
    fn a_spurious_change_of_an_inactive_device_changes_nothing() {
        assert_eq!(row(event(Action::Change)), (Kind::SpuriousInactive, false, false, false));
    }

    #[test]
    fn a_spurious_change_of_an_active_device_keeps_its_flags_and_activates_nothing() {
        assert_eq!(row(active_before(event(Action::Change))), (Kind::SpuriousActive, true, false, false));
    }

    #[test]
    fn a_refresh_activates_a_live_device_without_the_recorded_flags_and_no_other() {
        let recorded = Flags::from_bits(1 | 1 << 2 | 1 << 3 | 1 << 4);
        let asked = Event { synthetic: true, refresh: true, recorded, ..event(Action::Change) };
        let device = |suspended| Device {
            devno: crate::devno::Devno::new(253, 0).unwrap(),
            name: crate::name::DmName::new("x").unwrap(),
            uuid: None,
            suspended,
            details: None,
        };
        let live = asked.of_device(&device(false), |_| Flags::default());
        assert_eq!(row(live), (Kind::Refreshed, true, true, false));
        assert_eq!(Decision::of(&live).flags.bits(), PRIMARY | 1 << 4);
        let suspended = asked.of_device(&device(true), |_| Flags::default());
        assert_eq!(row(suspended), (Kind::SpuriousInactive, false, false, false));
        assert_eq!(Decision::of(&suspended).flags, recorded, "and the flags stay");
    }

    #[test]
    fn a_disk_that_became_read_only_is_disabled_whatever_was_before() {
        for before in [event(Action::Change), active_before(event(Action::Change))] {
            assert_eq!(row(Event { disk_ro: true, ..before }), (Kind::ReadOnly, false, false, true));
        }
    }

    #[test]
    fn a_remove_decodes_nothing() {
        let remove = genuine(Action::Remove, PRIMARY | 0xf);
        assert_eq!(row(remove), (Kind::Ignored, false, false, true));
        assert_eq!(Decision::of(&remove).flags, Flags::default());
    }

    #[test]
    fn a_cookie_replaces_recorded_flags_only_when_a_tool_stands_behind_it() {
        let recorded = Flags::from_bits(PRIMARY | 1);
        let tool = Event { recorded, ..genuine(Action::Change, PRIMARY | 1 << 2) };
        assert_eq!(Decision::of(&tool).flags.bits(), PRIMARY | 1 << 2);
        let other = Event { recorded, ..genuine(Action::Change, 1 << 2) };
        assert_eq!(Decision::of(&other).flags.bits(), PRIMARY | 1 | 1 << 2);
    }

    #[test]
    fn other_rules_are_disabled_by_the_cookie_a_suspended_device_or_noscan() {
        let device = |uuid: &str, suspended| Device {
            devno: crate::devno::Devno::new(253, 0).unwrap(),
            name: crate::name::DmName::new("x").unwrap(),
            uuid: crate::name::DmUuid::new(uuid).unwrap(),
            suspended,
            details: None,
        };
        let disables = |flags: u16, device: &Device| Decision::of(&genuine(Action::Change, PRIMARY | flags)).disable_other_rules(device);
        assert!(!disables(0, &device("LVM-x", false)));
        assert!(disables(1 << 3, &device("", false)));
        assert!(disables(0, &device("", true)));
        assert!(disables(1 << 8, &device("LVM-x", false)));
        assert!(!disables(1 << 8, &device("mpath-x", false)), "the first subsystem flag means noscan to LVM alone");
    }

    #[test]
    fn other_rules_are_disabled_while_no_tool_has_activated_the_device() {
        let device = Device {
            devno: crate::devno::Devno::new(253, 0).unwrap(),
            name: crate::name::DmName::new("x").unwrap(),
            uuid: None,
            suspended: false,
            details: None,
        };
        assert!(Decision::of(&event(Action::Change)).disable_other_rules(&device));
        assert!(!Decision::of(&active_before(event(Action::Change))).disable_other_rules(&device));
    }

    #[test]
    fn an_environment_becomes_an_event() {
        let event = Event::from_env(|name| match name {
            "ACTION" => Some("change"),
            "DM_COOKIE" => Some("4198400"),
            "SYNTH_UUID" => Some("0"),
            COOKIE_DISABLE_OTHER_RULES | "DM_UDEV_DISABLE_DISK_RULES_FLAG" | "DM_SUBSYSTEM_UDEV_FLAG0" => Some("1"),
            _ => None,
        })
        .unwrap();
        assert_eq!(event.cookie, Some(Cookie::new(4_198_400)));
        assert!(event.synthetic && !event.disk_ro && !event.refresh);
        for (action, refresh) in [("change", true), ("add", false), ("remove", false)] {
            let asked = Event::from_env(|name| match name {
                "ACTION" => Some(action),
                REFRESH_PROPERTY => Some("1"),
                _ => None,
            });
            assert_eq!(asked.unwrap().refresh, refresh, "{action}");
        }
        assert_eq!(event.recorded, Flags::DISABLE_DISK_RULES.union(Flags::DISABLE_OTHER_RULES));
        assert!(Event::from_env(|name| (name == "DM_COOKIE").then_some("x")).is_err());
    }
}
