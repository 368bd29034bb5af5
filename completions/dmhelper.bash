# bash completion for dmhelper: the program itself tells what may follow.
_dmhelper() {
	local line=${COMP_LINE:0:COMP_POINT} words word rest strip current=${COMP_WORDS[COMP_CWORD]}
	COMPREPLY=()
	# Not COMP_WORDS, which bash cuts at colons and equals signs. Without -r, `read` undoes backslashes.
	# shellcheck disable=SC2162
	read -a words <<<"$line"
	if [[ $line = *[[:space:]] ]]; then words+=(''); fi
	word=${words[-1]}
	# What bash takes for the word is only its end; what stands before stays where it is.
	case $current in
	[:=]) strip=$word ;;
	*) if [[ $word = *"$current" ]]; then strip=${word%"$current"}; else strip=''; fi ;;
	esac
	while IFS=$'\t' read -r word rest; do
		case $word in
		:nospace) compopt -o nospace 2>/dev/null ;;
		:programs)
			mapfile -t COMPREPLY < <(compgen -c -- "$current" | sort -u)
			compopt -o default 2>/dev/null
			;;
		:files) compopt -o default 2>/dev/null ;;
		*)
			word=${word#"$strip"}
			if [[ $word = *[!A-Za-z0-9_+,.:=@%/-]* ]]; then printf -v word %q "$word"; fi
			COMPREPLY+=("$word")
			;;
		esac
	done < <("${words[0]}" complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F _dmhelper dmhelper
