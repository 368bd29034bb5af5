# dmhelper: build, test and install. `make help` lists the targets.

# Not /usr/local: the rules run the program before anything but the root file system may be there.
PREFIX       ?= /usr
SBINDIR      ?= $(PREFIX)/sbin
MANDIR       ?= $(PREFIX)/share/man
DOCDIR       ?= $(PREFIX)/share/doc/dmhelper
BASHCOMPDIR  ?= $(PREFIX)/share/bash-completion/completions
FISHCOMPDIR  ?= $(PREFIX)/share/fish/vendor_completions.d
# Debian's zsh reads packages' completions from a folder of its own.
ZSHCOMPDIR   ?= $(PREFIX)/share/zsh/$(if $(wildcard /etc/debian_version),vendor-completions,site-functions)
# udev reads rules from /usr/lib, /usr/local/lib (from 253 on), /run and /etc alone, so a prefix does not move them.
UDEVRULESDIR ?= /usr/lib/udev/rules.d
# upstream: 10-dm, 11-dm-lvm, 13-dm-disk, 95-dm-notify (lvm2's own names).
# debian:   55-dm, 56-lvm, 60-persistent-storage-dm, 95-dm-notify (Debian and its children).
# The default is the system's own: rules under other names than the distribution's would stand beside them.
RULES_LAYOUT ?= $(if $(wildcard /etc/debian_version),debian,upstream)
# The units of the resident completer, which nothing turns on; empty: none are installed.
SYSTEMDUNITDIR ?= $(PREFIX)/lib/systemd/system
# dracut's modules; it looks nowhere else. Without ours, dracut adds its own rules and dmsetup to an image; where there is no dracut, nobody
# reads them. Empty: not installed.
DRACUTDIR    ?= /usr/lib/dracut
# The hook and the scripts of initramfs-tools, which are for Debian and its children; empty: do not install them.
INITRAMFSTOOLSDIR ?= $(if $(filter debian,$(RULES_LAYOUT)),/usr/share/initramfs-tools)
DESTDIR      ?=
CARGO        ?= cargo

# SOURCE:NAME, the one that answers the tools first: that is the order in which they are installed.
RULES_upstream := 95-dm-notify:95-dm-notify 10-dm:10-dm 11-dm-lvm:11-dm-lvm 13-dm-disk:13-dm-disk
RULES_debian   := 95-dm-notify:95-dm-notify 10-dm:55-dm 11-dm-lvm:56-lvm 13-dm-disk:60-persistent-storage-dm
RULES          := $(RULES_$(RULES_LAYOUT))
RULE_FILES     := $(sort $(foreach rule,$(RULES),$(lastword $(subst :, ,$(rule))).rules))
# Under every name that they go by: what uninstall looks through, for a rule that stays without its program answers nobody.
ALL_RULE_FILES := $(addsuffix .rules,$(sort $(foreach rule,$(RULES_upstream) $(RULES_debian),$(lastword $(subst :, ,$(rule))))))
DRACUT         := $(patsubst dracut/%,%,$(wildcard dracut/*/*.sh))
INITRAMFS_TOOLS := $(patsubst initramfs-tools/%,%,$(wildcard initramfs-tools/hooks/* initramfs-tools/scripts/dmhelper initramfs-tools/scripts/*/*))
DOCS           := $(wildcard docs/*)
TEXTS          := README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE

# Commands without a page of their own, and the page that has them: man dmhelper-COMMAND shows every command.
MAN_LINKS := info:dmhelper udev:dmhelper version:dmhelper doctor:dmhelper-explain refresh:dmhelper-explain deps:dmhelper-ls name:dmhelper-ls \
	translate:dmhelper-ls event:dmhelper-listen check-initramfs:dmhelper-initramfs

# .cargo/config.toml's "host-tuple" puts it below a directory named after the target triple.
BUILT   = $(or $(CARGO_TARGET_DIR),target)/$(or $(CARGO_BUILD_TARGET),*)/release/dmhelper
BINARY  = $(wildcard $(BUILT))

# Any other directory may be empty, and then nothing is installed there or removed.
refuse_settings = $(if $(RULES),,$(error RULES_LAYOUT=$(RULES_LAYOUT): neither "upstream" nor "debian"))$(foreach \
	directory,SBINDIR UDEVRULESDIR,$(if $($(directory)),,$(error $(directory) is empty: the rules and their program need a place)))

# Fails for a program that would not run in an initramfs, which the environment's RUSTFLAGS make of it: they take the place
# of those in .cargo/config.toml.
refuse_dynamic = segments=$$(readelf -lW $(1)) || exit; case $$segments in *INTERP*) \
	echo "$(1) is linked dynamically: it would not run in an initramfs. Unset RUSTFLAGS and build again." >&2; exit 1;; esac

# put MODE FROM TO: FROM with its placeholders filled in, made beside TO and renamed over it: on a machine that runs, udevd never
# finds a file less, half of one, or a placeholder. Hidden meanwhile: what has no dot in front and lies among hooks is run.
PUT = set -e; put() { echo "install -m $$1 $$2 $$3"; new=$$(dirname $$3)/.$$(basename $$3).new; install -D -m $$1 $$2 $$new; \
	sed 's|@DMHELPER@|$(SBINDIR)/dmhelper|g; s|@UDEVRULESDIR@|$(UDEVRULESDIR)|g; s|@RULES@|$(RULE_FILES)|g' $$2 >$$new; mv -f $$new $$3; }

.PHONY: help build test test-boot test-forky test-trixie test-all roots check demo bench bench-icount install uninstall setup clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

build: ## the static binary, under target/ or CARGO_TARGET_DIR
	$(CARGO) build --release --locked
	@binaries=$$(ls $(BUILT)) || exit; for binary in $$binaries; do $(call refuse_dynamic,$$binary); echo "built $$binary"; done

setup: ## install what building and testing need (Debian packages), saying so
	@tests/setup

test: setup check ## everything: unit tests, lints, and the rig on a real kernel
	$(CARGO) test --locked

# What CI runs on another suite; besides these, every scenario whose header names the suite.
FORKY_SCENARIOS  := parity:: ours::broadcasts ours::completer ours::completer_systemd ours::completer_udevd_dies ours::cookies_reap \
	ours::decision_table ours::dracut_module ours::explain_udev ours::initramfs_hooks ours::listen ours::listen_claim ours::listen_takeover ours::udevd_on_demand \
	ours::udevd_state ours::upstream_layout
TRIXIE_SCENARIOS := parity::crypt_luks parity::dmsetup_coldplug parity::lvm_linear parity::multipath parity::udev_flags

test-forky: setup ## the rig in guests of Debian forky (systemd 262): all of parity, and the most telling of ours
	RIG_ROOT=forky RIG_ONLY='$(FORKY_SCENARIOS)' $(CARGO) test --locked --test rig

test-trixie: setup ## the rig in guests of Debian trixie (systemd 257): five scenarios of parity
	RIG_ROOT=trixie RIG_ONLY='$(TRIXIE_SCENARIOS)' $(CARGO) test --locked --test rig

test-all: test test-boot ## everything on every suite; takes hours
	RIG_ROOT=forky $(CARGO) test --locked --test rig
	RIG_ROOT=trixie $(CARGO) test --locked --test rig

test-boot: setup ## boots from initramfs images, with the stock set-up and with ours (see tests/README.md)
	$(CARGO) test --locked --test boot

roots: setup ## trees of Debian trixie and forky for RIG_ROOT=trixie|forky (see tests/README.md)
	tests/roots/make trixie
	tests/roots/make forky

check: ## formatting, lints, and links in the documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --workspace
	shellcheck .ci/run tests/setup tests/install-packages tests/roots/make tests/roots/init dracut/*/*.sh examples/*/build examples/*/init \
		initramfs-tools/hooks/* initramfs-tools/scripts/dmhelper initramfs-tools/scripts/*/* tests/rig/guest/*.sh \
		tests/bench/lib/bench.sh tests/bench/lib/icount-setup tests/bench/lib/icount-init tests/boot/disk.sh tests/boot/root-init.sh

demo: setup ## a LUKS volume on an LVM volume appears, on a real kernel in User-Mode Linux
	$(CARGO) test --locked --test rig -- --show demo

bench: setup ## what it costs, against dmsetup and the stock rules: tables, and JSON in target/bench (see tests/README.md)
	$(CARGO) bench --locked --bench bench

bench-icount: setup ## instructions of an event's processes, in QEMU on Debian's kernel: repeatable, not a time
	@tests/bench/lib/icount-setup
	$(CARGO) bench --locked --bench bench -- icount

clean: ## remove everything that was built
	$(CARGO) clean

# Does not build: root need not have a Rust toolchain.
install: ## binary, rules, units, modules and hooks for initramfs images, man pages, completions; see README.md for the variables
	$(if $(BINARY),,$(error nothing to install: run "make build" first))
	$(if $(word 2,$(BINARY)),$(error several programs, for several targets: say which with BINARY or CARGO_BUILD_TARGET: $(BINARY)))
	$(refuse_settings)
	@$(call refuse_dynamic,$(BINARY))
	install -D -m 0755 $(BINARY) $(DESTDIR)$(SBINDIR)/.dmhelper.new
	mv -f $(DESTDIR)$(SBINDIR)/.dmhelper.new $(DESTDIR)$(SBINDIR)/dmhelper
	@$(PUT); for rule in $(RULES); do put 0644 rules/$${rule%:*}.rules.in $(DESTDIR)$(UDEVRULESDIR)/$${rule#*:}.rules; done
ifneq ($(SYSTEMDUNITDIR),)
	@$(PUT); put 0644 systemd/dmhelper-completer.socket $(DESTDIR)$(SYSTEMDUNITDIR)/dmhelper-completer.socket; \
		put 0644 systemd/dmhelper-completer.service.in $(DESTDIR)$(SYSTEMDUNITDIR)/dmhelper-completer.service
endif
ifneq ($(DRACUTDIR),)
	@$(PUT); for file in $(DRACUT); do put 0755 dracut/$$file $(DESTDIR)$(DRACUTDIR)/modules.d/$$file; done
endif
ifneq ($(INITRAMFSTOOLSDIR),)
	@$(PUT); for file in $(INITRAMFS_TOOLS); do put 0755 initramfs-tools/$$file $(DESTDIR)$(INITRAMFSTOOLSDIR)/$$file; done
endif
ifneq ($(MANDIR),)
	install -D -m 0644 -t $(DESTDIR)$(MANDIR)/man8 $(wildcard man/*.8)
	@for link in $(MAN_LINKS); do page=$(DESTDIR)$(MANDIR)/man8/dmhelper-$${link%:*}.8; \
		echo ".so man8/$${link#*:}.8" >$$page && chmod 0644 $$page || exit; done
endif
	$(if $(BASHCOMPDIR),install -D -m 0644 completions/dmhelper.bash $(DESTDIR)$(BASHCOMPDIR)/dmhelper)
	$(if $(ZSHCOMPDIR),install -D -m 0644 completions/_dmhelper $(DESTDIR)$(ZSHCOMPDIR)/_dmhelper)
	$(if $(FISHCOMPDIR),install -D -m 0644 completions/dmhelper.fish $(DESTDIR)$(FISHCOMPDIR)/dmhelper.fish)
ifneq ($(DOCDIR),)
	install -D -m 0644 -t $(DESTDIR)$(DOCDIR)/docs $(DOCS)
	install -D -m 0644 -t $(DESTDIR)$(DOCDIR) $(TEXTS)
endif

# What runs the program goes before the program, whichever layout was installed: a rule without it answers no tool, and
# initramfs-tools' hook without it stops every build of an image.
uninstall: ## remove what install put there (same DESTDIR, PREFIX and directories)
	$(refuse_settings)
	$(if $(SYSTEMDUNITDIR),$(if $(DESTDIR),,@echo 'If the resident completer is on: systemctl disable --now dmhelper-completer.socket first.'))
	@for rule in $(addprefix $(DESTDIR)$(UDEVRULESDIR)/,$(ALL_RULE_FILES)); do \
		if [ ! -e $$rule ]; then continue; fi; \
		if head -n 1 $$rule | grep -qF 'dmhelper(8)'; then echo "rm -f $$rule"; rm -f $$rule || exit; else echo "kept $$rule: not dmhelper's"; fi; \
		done
	$(if $(SYSTEMDUNITDIR),rm -f $(addprefix $(DESTDIR)$(SYSTEMDUNITDIR)/dmhelper-completer.,socket service))
	$(if $(DRACUTDIR),rm -rf $(addprefix $(DESTDIR)$(DRACUTDIR)/modules.d/,$(sort $(dir $(DRACUT)))))
	rm -f $(addprefix $(DESTDIR)$(or $(INITRAMFSTOOLSDIR),/usr/share/initramfs-tools)/,$(INITRAMFS_TOOLS))
	rm -f $(DESTDIR)$(SBINDIR)/dmhelper
	$(if $(MANDIR),rm -f $(DESTDIR)$(MANDIR)/man8/dmhelper*.8)
	$(if $(BASHCOMPDIR),rm -f $(DESTDIR)$(BASHCOMPDIR)/dmhelper)
	$(if $(ZSHCOMPDIR),rm -f $(DESTDIR)$(ZSHCOMPDIR)/_dmhelper)
	$(if $(FISHCOMPDIR),rm -f $(DESTDIR)$(FISHCOMPDIR)/dmhelper.fish)
ifneq ($(DOCDIR),)
	rm -f $(addprefix $(DESTDIR)$(DOCDIR)/,$(DOCS) $(TEXTS))
	@rmdir $(DESTDIR)$(DOCDIR)/docs $(DESTDIR)$(DOCDIR) 2>/dev/null || true # Others may have files there.
endif
ifeq ($(DESTDIR),)
	@echo "Now reinstall the packages of the distribution's own rules (dmsetup and lvm2 on Debian): without any, tools"
	@echo 'that change device-mapper devices wait for udev for ever. Then "udevadm control --reload", and build the initramfs'
	@echo 'anew ("update-initramfs -u", "dracut --force").'
endif
