//! Every reason that an explanation can give: the one table of them, with the words and what to do.
//!
//! In the words stand `{device}` (name and number), `{name}` (as a word of a command line), `{link}`, `{other}`,
//! `{detail}`, `{cookie}`, the command that asks udev to look again, `{trigger}`, the one that makes udev take the device for
//! activated, `{refresh}`, or why there is none, `{unrefreshable}`, and `{remedy}`, which the finding itself brings.
//!
//! A step is a sentence that says what to check, or `WORDS: COMMAND`. The command is to be pasted as it stands, all of it,
//! also by whoever has not read what stands before it: it destroys nothing. Where it would be right only after another
//! step, it is not printed. A step with a place that has no text is left out.

/// A reason.
#[derive(Debug, PartialEq, Eq)]
pub struct Reason {
    /// What programs know it by; it never changes its meaning.
    pub id: &'static str,
    /// The answer, a sentence or two.
    pub answer: &'static str,
    /// What to do about it, a step each.
    pub steps: &'static [&'static str],
}

macro_rules! reasons {
    ($($name:ident: $id:literal, $answer:literal, [$($step:literal),* $(,)?];)*) => {
        $(#[doc = $answer] pub const $name: Reason = Reason { id: $id, answer: $answer, steps: &[$($step),*] };)*
        /// All of them.
        pub const ALL: &[Reason] = &[$($name),*];
    };
}

reasons! {
    // All is well.
    READY: "ready", "{device} is ready: {detail}.", [];
    LINK_RIGHT: "link-right", "{link} leads to {device}, as it should: {detail}.", [];
    LINK_OF_OTHER_RULES: "link-of-other-rules",
        "{link} leads to {device}. Rules other than device-mapper's own asked udev for it.", [];
    LINK_BY_HAND: "link-by-hand",
        "{link} leads to {device}, but udev did not make it, and will not remove it: a tool, a script or a person made it.",
        ["If nothing uses it: rm {remedy}"];

    // The device is there, but nothing can be done with it.
    NO_TABLE: "no-table", "{device} has no table: it was made, but nothing was put into it, so that there is nothing to link to.",
        ["If the tool that made it is gone: dmsetup remove {name}", "Then activate it again with that tool (lvchange, cryptsetup)."];
    NOT_RESUMED: "not-resumed", "{device} has a table that was loaded but never put in force by a resume.",
        ["If the tool that made it is gone: dmsetup remove {name}", "Then activate it again with that tool (lvchange, cryptsetup)."];
    SUSPENDED: "suspended", "{device} is suspended: whatever reads or writes it waits until a tool resumes it.",
        ["{remedy}"];

    // udevd.
    NO_UDEVD: "no-udevd", "udevd is not running: nobody makes the links of {device}.",
        ["Start it: systemctl start systemd-udevd", "Without systemd: /usr/lib/systemd/systemd-udevd --daemon", "Then: {trigger}",
            "Where there is to be none: dmhelper listen --claim-udev"];
    UDEVD_STOPPED: "udevd-stopped", "udevd is stopped (SIGSTOP, a debugger): it processes nothing until it goes on.",
        ["Let it go on: kill -CONT {remedy}"];
    UDEVD_UNKNOWN: "udevd-unknown", "It is not known whether udevd is running: {detail}. Nothing is done that would harm it.",
        ["Ask as root, and outside containers.", "Look at udevd itself: systemctl status systemd-udevd"];
    UDEVD_BUSY: "udevd-busy", "udevd has not finished with {device}: it has events left to process.",
        ["Wait: dmhelper wait --timeout 3min {name}", "If it never ends, a program that a rule runs hangs: ps -ef --forest | grep -A3 udev"];

    COMPLETER_STOPPED: "completer-stopped",
        "The resident completer (process {other}) is stopped (SIGSTOP, a debugger): the cookies that udev's rules leave to it wait.",
        ["Let it go on: kill -CONT {other}", "If a tool still hangs half a minute after that: dmhelper cookie reap"];

    COMPLETER_DEAD: "completer-dead",
        "The resident completer (process {other}) has died{detail}: udev's rules run a process for each cookie again.",
        ["Start it again: systemctl restart dmhelper-completer", "Without systemd: dmhelper listen --complete-only",
            "Or do without it: rm /run/dmhelper/completer", "If a tool hangs: dmhelper cookie reap"];

    // What udevd recorded.
    NO_RECORD: "no-record", "udev has never processed {device}: it has no event left and no record of it.", ["{trigger}"];
    FORMER_RECORD: "former-record", "udev has not processed {device}: what it recorded under that number is an earlier device's.",
        ["{trigger}"];
    RENAMED: "renamed", "{device} was renamed, and udev does not know: it recorded the name {other}.", ["{trigger}"];
    WITHOUT_RULES: "processed-without-rules", "udev processed {device} without device-mapper's rules: they were not there then.",
        ["{trigger}"];
    BECAME_READ_ONLY: "became-read-only",
        "udev leaves {device} alone: the last event that it processed said that the disk has become read-only.",
        ["{refresh}", "{unrefreshable}"];
    NEVER_ACTIVATED: "never-activated",
        "udev has seen {device} made, but has not seen a tool activate it, and so leaves it alone.",
        ["{refresh}", "{unrefreshable}"];

    // The rule files.
    NO_RULES: "no-rules", "There are no udev rules for device-mapper: {device} gets no links, and tools wait for ever.",
        ["Install dmhelper's rules, or reinstall dmsetup and lvm2.", "Then see what is left to do: dmhelper doctor"];
    RULE_MISSING: "rule-missing", "The rule file {other} is missing: {detail}.",
        ["Install dmhelper's rules, or reinstall dmsetup and lvm2.", "Then see what is left to do: dmhelper doctor"];
    RULE_MASKED: "rule-masked", "The rule file {other} is turned off (it is empty, or a link to /dev/null): {detail}.",
        ["If nobody wants that: rm {remedy}", "Then see what is left to do: dmhelper doctor"];
    PROGRAM_MISSING: "program-missing", "The rules run {detail}, which is not there: {other} cannot do its work.",
        ["Put the program there (an initramfs needs a copy of its own).", "Then see what is left to do: dmhelper doctor"];
    RULES_TWICE: "rules-twice", "Two rule files do the same work, {detail} and {other}: they undo each other's decisions.",
        ["Remove the set that is not your distribution's.", "Then see what is left to do: dmhelper doctor"];
    RULES_MIXED: "rules-mixed", "The rules are of two generations: {detail} is not of the same set as {other}.",
        ["Reinstall the packages that own them, so that they are one set.", "Then see what is left to do: dmhelper doctor"];

    // What the flags say, and what the rules conclude.
    FLAG_NAME: "flag-dm-rules", "The tool that set {device} up asked for no link in /dev/mapper (DM_UDEV_DISABLE_DM_RULES_FLAG).",
        ["If that tool is gone: {refresh}", "{unrefreshable}"];
    FLAG_SUBSYSTEM: "flag-subsystem-rules",
        "The tool that set {device} up asked for no /dev/VG/LV link (DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG).",
        ["If that tool is gone: {refresh}", "{unrefreshable}"];
    FLAG_DISK: "flag-disk-rules", "The tool that set {device} up asked for no links in /dev/disk (DM_UDEV_DISABLE_DISK_RULES_FLAG).",
        ["It is meant for that tool alone. Use the device above it, or /dev/mapper.", "If that tool is gone: {refresh}",
            "{unrefreshable}"];
    PRIVATE_PART: "private-part", "{device} is an internal part of an LVM volume: it has its name in /dev/mapper, and no other link.",
        ["Use {other}, the volume that it is a part of."];
    CRYPT_TEMPORARY: "crypt-temporary", "{device} is a temporary device of cryptsetup: it gets no links but its name.",
        ["If cryptsetup is gone: dmsetup remove {name}"];
    NOSCAN: "noscan", "LVM has not wiped {device} yet and asked that nobody reads it: links by content are not made.",
        ["If lvcreate is gone: {refresh}", "{unrefreshable}"];
    NO_PATHS: "no-paths", "No path to the disk of {device} works: it is not read, and links by content are not made.",
        ["Repair the paths; which they are: multipathd show paths"];
    OTHER_RULES_OFF: "other-rules-off",
        "{device} has its links, but other packages' rules are to leave it alone, so that systemd starts nothing on it: {detail}.",
        ["{remedy}", "{unrefreshable}"];

    // The link itself.
    REMOVED: "removed", "{link} is missing: udev made it, and somebody has removed it since.", ["{trigger}"];
    NOT_MADE: "not-made", "{link} is missing: udev did not make it, though the rules would now.", ["{trigger}"];
    CLAIMED: "claimed", "{link} leads to {other}, not to {device}. Both claim it, {detail}.",
        ["Use /dev/mapper or /dev/disk/by-id, which no two devices share.", "Or give one of them a UUID or label of its own."];
    LEADS_ELSEWHERE: "leads-elsewhere", "{link} leads to {other}, which has no claim to it, instead of {device}.", ["{trigger}"];
    DANGLING: "dangling", "{link} leads to {detail}, which does not exist.", ["dmhelper doctor --fix --yes", "Or ask udev: {trigger}"];
    NO_NODE: "no-node", "{link} leads to the node of {device}, as it should, but this /dev lacks that node.",
        ["In a container, its runtime must give it the node (podman run --device).", "Elsewhere: dmhelper doctor --fix --yes"];
    NODE: "node-in-place", "{link} is a block node, not a link: a tool made it where udev had not. It leads to {device} all the same.",
        ["Put a link in its place, which udev does not: dmhelper doctor --fix --yes"];
    WRONG_NODE: "wrong-node", "Careful: {link} is a block node of {other}, not of {device}: whoever writes there writes to the wrong one.",
        ["dmhelper doctor --fix --yes"];
    IN_THE_WAY: "in-the-way", "{link} is {detail}: udev does not replace that by a link.",
        ["Move it aside: mv -nT {link} {remedy}", "Then: {trigger}"];

    // What only doctor looks for.
    CONTROL_LEFT: "control-left", "udevd is gone, but {other} is still there: every tool waits for an answer that nobody gives.",
        ["Start it: systemctl start systemd-udevd", "Without systemd: /usr/lib/systemd/systemd-udevd --daemon", "Then: {trigger}",
            "Where there is to be none: dmhelper listen --claim-udev"];
    CONTROL_MISSING: "control-missing",
        "udevd is running, but {other} is not there: tools do not wait for it, and make nodes where it makes links.",
        ["Give it its socket back: systemctl stop systemd-udevd; systemctl restart systemd-udevd-control.socket; systemctl start systemd-udevd",
            "Then: {trigger}"];
    STALE_LINK: "stale-link", "{link} is left over: it leads to {detail}, which does not exist.", ["{other}"];
    STALE_NODE: "stale-node", "{link} is left over: a block node of {detail}, which does not exist.", ["dmhelper doctor --fix --yes"];
    MISPLACED: "misplaced", "{link} leads to {other}: no device has the name of the link, and udev did not make it.",
        ["If nothing uses it: rm {link}"];
    SEMAPHORES: "semaphores", "{detail} semaphore sets are in use: at the limit no tool can change a device.",
        ["See what the cookies wait for: dmhelper cookie list", "Raise the limit, the fourth number: sysctl kernel.sem"];

    // There is no such device.
    NO_DEVICE_MAPPER: "no-device-mapper", "The kernel has no device-mapper: /proc/misc does not list it.",
        ["modprobe dm-mod", "An initramfs needs it, and the modules of the targets (such as dm-crypt), as files of its own."];
    NO_SUCH_DEVICE: "no-such-device", "There is no {other}: no device-mapper device has that name, number or UUID, and none claims such a link.",
        ["Activate it with its tool (vgchange, cryptsetup open, multipath)."];
    NO_DISKS: "no-disks", "There is no disk at all that {other} could lie on: no driver has found one.",
        ["Look at the kernel's log: dmesg", "An initramfs needs the disk's driver as a file of its own."];
    VG_INCOMPLETE: "vg-incomplete", "The volume group {other} is incomplete: {detail}. LVM activates no volume of it by itself.",
        ["Attach the missing disk, or wait for it.", "To go on without it, if its volumes are mirrored: vgchange -ay --activationmode degraded {remedy}"];
    NOT_ACTIVATED: "not-activated", "The volume group {other} is complete, but {detail} is not active.",
        ["Activate it: lvchange -ay {name}", "See which volumes there are: lvs {remedy}"];
    GROUP_SEEN: "group-seen", "LVM has seen disks of the volume group {other}, but {detail} is not active.",
        ["Activate it: lvchange -ay {name}", "See whether the group has all its disks: vgs {remedy}"];
    LUKS_CLOSED: "luks-closed", "Nothing of that name is open, but a LUKS container is closed that it may lie in: {detail}.",
        ["{remedy}"];
    NOT_READ: "not-read", "No device is known to hold that; of {detail}, udev does not know the content.",
        ["See why: dmhelper explain {other}"];
    NOT_DEVICE_MAPPER: "not-device-mapper", "{link} is {other}, which is no device-mapper device.", [];

    // Cookies.
    COOKIE_GONE: "cookie-gone", "There is no such cookie: all its notifications have come, or its tool has given up.", [];
    COOKIE_OF_FLAGS: "cookie-of-flags", "This cookie only carries flags: nobody waits for it.", [];
    COOKIE_IN_USE: "cookie-in-use", "Cookie {cookie} is in use{detail}, and nobody waits for it yet.",
        ["If it belongs to no script: dmhelper cookie reap --older-than 1h"];
    COOKIE_WAITING: "cookie-waiting", "udev may still complete cookie {cookie}: {detail}.", ["See what it waits for: dmhelper cookie list"];
    COOKIE_STUCK: "cookie-stuck", "Cookie {cookie} is stuck: {detail}, and udev has nothing left that could complete it.",
        ["Make udev process what it has not: {remedy}", "Then release the tool: dmhelper cookie reap --yes"];
    COOKIE_NO_UDEVD: "cookie-no-udevd", "Cookie {cookie} is waited for in vain: {detail}, and no udevd is running.",
        ["If udevd is to run: systemctl start systemd-udevd", "If it is not: dmhelper cookie reap --yes"];
    COOKIE_UDEVD_STOPPED: "cookie-udevd-stopped", "Cookie {cookie} waits for a udevd that is stopped: {detail}.",
        ["See how it goes on: dmhelper doctor"];
    COOKIE_LEFT: "cookie-left", "Cookie {cookie} is complete, and nobody waits for it: its tool was killed.",
        ["Remove it: dmhelper cookie reap --yes"];
    COOKIE_FOREIGN: "cookie-foreign", "Cookie {cookie} was not created by root: no tool that changes devices waits for it.", [];
    COOKIE_UNREADABLE: "cookie-unreadable", "Cookie {cookie} is there, but only root may see what it waits for.", ["Ask as root."];

    // Why it is busy.
    IN_USE: "in-use", "It is in use: {detail}.", [];
    MOUNTED: "mounted", "mounted at {detail}", ["To free it: {remedy}"];
    SWAP: "swap", "as swap", ["To free it: swapoff {link}"];
    STACKED: "stacked", "{detail} lies on it", ["To free it, first free {detail}; what uses that: dmhelper explain {other}"];
    PROCESS: "process", "{detail} has it open", ["To free it, let {remedy} finish."];
    DEFERRED: "deferred-removal", "{device} is marked for removal: the kernel removes it when nobody has it open.",
        ["To keep it: dmsetup message {name} 0 @cancel_deferred_remove"];
    HOLDER_UNKNOWN: "holder-unknown", "{detail} by something that cannot be seen from here",
        ["Look for kernel users (an iSCSI, NFS or NBD export) and at processes in other containers."];
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn every_reason_has_an_identifier_of_its_own_and_its_words_their_places() {
        for (at, reason) in ALL.iter().enumerate() {
            assert!(ALL.iter().skip(at + 1).all(|other| other.id != reason.id), "{}", reason.id);
            assert!(reason.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", reason.id);
            for text in std::iter::once(&reason.answer).chain(reason.steps) {
                for place in text.split('{').skip(1) {
                    let name = place.split('}').next().unwrap();
                    assert!(
                        ["device", "name", "link", "other", "detail", "trigger", "refresh", "unrefreshable", "remedy", "cookie"]
                            .contains(&name),
                        "{}: {name}",
                        reason.id
                    );
                }
            }
        }
    }

    /// What stands behind the colon is pasted: all of it a command, nothing that a shell would take for something else.
    #[test]
    fn a_step_is_a_sentence_or_ends_with_a_command() {
        const PROGRAMS: [&str; 26] = [
            "dmhelper",
            "dmsetup",
            "udevadm",
            "systemctl",
            "/usr/lib/systemd/systemd-udevd",
            "kill",
            "rm",
            "mv",
            "modprobe",
            "dmesg",
            "lvchange",
            "lvs",
            "vgs",
            "vgchange",
            "cryptsetup",
            "multipathd",
            "swapoff",
            "sysctl",
            "ps",
            "{trigger}",
            "{refresh}",
            "{remedy}",
            "{other}",
            "{unrefreshable}",
            "umount",
            "nsenter",
        ];
        for (id, step) in ALL.iter().flat_map(|reason| reason.steps.iter().map(|step| (reason.id, *step))) {
            let is_command = |text: &str| PROGRAMS.contains(&text.split(' ').next().unwrap_or_default());
            match step.split_once(": ") {
                Some((words, command)) => {
                    assert!(is_command(command) && !is_command(words), "{id}: {step}");
                    assert!(!command.contains(['(', '?', '<', '>', ',']) && !command.ends_with('.'), "{id}: {step}");
                }
                None => assert!(step.ends_with('.') || is_command(step), "{id}: {step}"),
            }
        }
    }
}
