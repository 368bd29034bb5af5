#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Device-mapper, before udevd starts, if it is a module and not there yet.

[ -e /sys/class/misc/device-mapper ] || modprobe -q dm_mod
