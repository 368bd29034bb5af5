# Completions as `make install` puts them, in real shells: commands, options, columns, devices, cookies and paths.
# needs: zsh fish module:dm-mod
# timeout: 400
disk 8M
dmsetup create vg-home --table "0 8 linear $DISK 4096"
dmsetup create 'my disk' --table "0 8 linear $DISK 8192"
dmsetup create 'a:b' --table "0 8 linear $DISK 8200"
cookie=$(dmsetup udevcreatecookie)
quiesce
step 'devices and a cookie'

# --- bash ---------------------------------------------------------------------------------------------------------
# in_bash LINE: what bash would put in the place of its last word, words cut as bash cuts them.
in_bash() {
	bash --norc -c '
		. /usr/share/bash-completion/completions/dmhelper
		COMP_LINE=$1 COMP_POINT=${#1}
		mapfile -t COMP_WORDS < <(grep -oE "[:=]+|[^][:space:]:=[]+" <<<"$1")
		if [[ $1 = *[[:space:]] ]]; then COMP_WORDS+=(""); fi
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		_dmhelper
		printf "%s\n" "${COMPREPLY[@]}"' bash "$1" | paste -sd' '
}
assert_eq 'ls listen' "$(in_bash 'dmhelper l')"
assert_eq '--no-headings' "$(in_bash 'dmhelper ls --no')"
assert_eq 'name,devno name,deps name,dependants' "$(in_bash 'dmhelper ls -o name,de')"
assert_eq 'state=' "$(in_bash 'dmhelper ls --filter sta')"
assert_eq 'vg-home' "$(in_bash 'dmhelper info vg')"
assert_eq "a:b my\\\\x20disk vg-home" "$(in_bash 'dmhelper tree --json ')"
assert_eq 'b' "$(in_bash 'dmhelper name a:')" 'bash has cut the word at its colon'
assert_eq "my\\\\x20disk" "$(in_bash 'dmhelper name my\\x2')"
assert_eq "$(printf '0x%08x' "$cookie")" "$(in_bash 'dmhelper cookie complete 0')"
assert_eq 'active' "$(in_bash 'dmhelper wait --for=a')" 'bash has cut the word at its equals sign'
assert_eq 'name' "$(in_bash 'dmhelper ls --output=na')"
assert_eq 'dmsetup' "$(in_bash 'dmhelper cookie run -- dmset')"
assert_eq '' "$(in_bash 'dmhelper nothing-like-it ')"

# --- fish ---------------------------------------------------------------------------------------------------------
export HOME=/run/fish XDG_CONFIG_HOME=/run/fish XDG_DATA_HOME=/run/fish
mkdir -p /run/fish
in_fish() { fish --no-config -c "source /usr/share/fish/vendor_completions.d/dmhelper.fish; complete -C'$1'"; }
assert_eq 'listen ls' "$(in_fish 'dmhelper l' | cut -f1 | paste -sd' ')"
assert_eq 'List all device-mapper devices, a line for each.' "$(in_fish 'dmhelper ls' | cut -f2 | sed -n 1p)"
assert_eq '--for=active' "$(in_fish 'dmhelper wait --for=a')"
assert_eq "vg-home	$(devno vg-home)" "$(in_fish 'dmhelper info vg')"
assert_eq '/etc/passwd' "$(in_fish 'dmhelper info /etc/passw' | sed -n 1p)"
assert_eq 'dmsetup' "$(in_fish 'dmhelper cookie run -- dmset' | cut -f1)"
assert_eq '--output=name,uuid' "$(in_fish 'dmhelper ls --output=name,uu' | cut -f1)"
assert_eq '--blkid=/usr/sbin/' "$(in_fish 'dmhelper listen --blkid=/usr/sbi' | cut -f1)"
assert_eq '/usr/sbin/' "$(in_fish 'dmhelper listen --blkid /usr/sbi' | cut -f1)"
assert_eq 'a:b my\x20disk vg-home' "$(in_fish 'dmhelper tree --json ' | cut -f1 | sort | paste -sd' ')"

# --- zsh ----------------------------------------------------------------------------------------------------------
# in_zsh LINE: what stands on the line after TAB, in a terminal of its own.
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
cat >/run/in_zsh <<'ZSH'
zmodload zsh/zpty
zpty -b shell "PS1= TERM=vt100 zsh -f -i"
zpty -w shell 'autoload -Uz compinit && compinit -u -D; setopt no_beep; stty -echo; what() { print -r -- "<<$BUFFER>>" >/run/line }; zle -N what; bindkey "^X" what; print READY'
integer tries
for ((tries = 0; tries < 300; tries++)); do zpty -r -t shell text && [[ $text = READY* ]] && break; sleep 0.1; done
zpty -w -n shell $1$'\t'
rm -f /run/line
for ((tries = 0; tries < 100; tries++)); do
	sleep 0.2
	zpty -w -n shell $'\x18'
	sleep 0.2
	zpty -r -t shell text
	if [[ -e /run/line && "$(</run/line)" != "<<$1>>" ]]; then break; fi
done
cat /run/line
zpty -d shell
ZSH
# The space after a whole word is zsh's own, and comes and goes with the next key.
in_zsh() { timeout 90 zsh -f /run/in_zsh "$1" | sed 's/ *>>$/>>/'; }
assert_eq '<<dmhelper info vg-home>>' "$(in_zsh 'dmhelper info vg')"
assert_eq '<<dmhelper ls --no-headings>>' "$(in_zsh 'dmhelper ls --no')"
assert_eq '<<dmhelper ls -o name,uuid>>' "$(in_zsh 'dmhelper ls -o name,uu')"
assert_eq '<<dmhelper ls --output=name,uuid>>' "$(in_zsh 'dmhelper ls --output=name,uu')"
assert_eq '<<dmhelper wait --for=active>>' "$(in_zsh 'dmhelper wait --for=a')"
assert_eq '<<dmhelper listen --blkid=/etc/passwd>>' "$(in_zsh 'dmhelper listen --blkid=/etc/passw')"
assert_eq '<<dmhelper explain vg-home>>' "$(in_zsh 'dmhelper explain v')"
assert_eq '<<dmhelper name my\\x20disk>>' "$(in_zsh 'dmhelper name my')"
assert_eq "<<dmhelper cookie complete $(printf '0x%08x' "$cookie")>>" "$(in_zsh 'dmhelper cookie complete 0')"
assert_eq '<<dmhelper cookie run -- dmsetup>>' "$(in_zsh 'dmhelper cookie run -- dmset')"
assert_eq '<<dmhelper info /etc/passwd>>' "$(in_zsh 'dmhelper info /etc/passw')"
dmsetup udevreleasecookie "$cookie"
