# fish completion for dmhelper: the program itself tells what may follow.
function __dmhelper_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] complete -- $words[2..] 2>/dev/null)
        switch $line
            case :nospace
            case :programs
                complete -C (commandline -ct)
            case :files
                # Of --option=path the path alone is one.
                set -l option (string match -r -- '^--[^=]*=' $words[-1])
                string replace -r -- '^' "$option" (__fish_complete_path (string replace -r -- '^--[^=]*=' '' $words[-1]))
            case '*'
                printf '%s\n' $line
        end
    end
end
complete -c dmhelper -f -a '(__dmhelper_complete)'
