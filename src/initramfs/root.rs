//! What the running system's root lies on: every device-mapper device of its stack, with the targets of its table.

use super::modules::{self, Need};
use crate::devno::Devno;
use crate::error::{Cause, Error, Result};
use crate::info::Roots;
use crate::survey::Survey;
use crate::text::printable;

/// What an initramfs itself mounts.
const MOUNT_POINTS: [&[u8]; 2] = [b"/", b"/usr"];

/// What could be found out.
#[derive(Debug)]
pub enum Found {
    /// The modules that these devices need, each once for each device; none for a root on plain disks.
    Needs(Vec<Need>),
    /// The root lies on no block device: a container, a network.
    NoBlockDevice,
    /// Tables are shown to root only.
    Denied,
}

/// Finds out what the running system's root needs, and what went wrong meanwhile.
pub fn needs(roots: &Roots) -> Result<(Found, Vec<Error>)> {
    let survey = match Survey::open(roots) {
        Ok(survey) => survey,
        // Without device-mapper in this kernel the root is on none of its devices.
        Err(error) if matches!(error.cause(), Cause::Os(_)) => return Ok((Found::Needs(vec![]), vec![])),
        Err(error) => return Err(error),
    };
    let mut open: Vec<Devno> = MOUNT_POINTS.iter().flat_map(|point| survey.mounted_at(point)).collect();
    if open.is_empty() {
        return Ok((Found::NoBlockDevice, survey.take_troubles()));
    }
    let Some(control) = survey.control() else { return Ok((Found::Denied, survey.take_troubles())) };
    let mut needs = Vec::new();
    let mut seen: Vec<Devno> = Vec::new();
    while let Some(devno) = open.pop() {
        if seen.contains(&devno) {
            continue;
        }
        seen.push(devno);
        open.extend(survey.below(devno));
        if !survey.sysfs(devno).is_device_mapper() {
            continue;
        }
        let (device, targets) = control.status(devno)?;
        for target in targets {
            for module in modules::of_target(&target.kind) {
                let reason = format!("{} ({}), under the running system's root, needs it", device.name, printable(&target.kind));
                let need = Need { module, reason };
                if !needs.contains(&need) {
                    needs.push(need);
                }
            }
        }
    }
    Ok((Found::Needs(needs), survey.take_troubles()))
}
