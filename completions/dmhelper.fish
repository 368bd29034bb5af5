# fish completion for dmhelper: the program itself tells what may follow.
function __dmhelper_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] complete -- $words[2..] 2>/dev/null)
        switch $line
            case :nospace
            case :files
                __fish_complete_path (commandline -ct)
            case '*'
                printf '%s\n' $line
        end
    end
end
complete -c dmhelper -f -a '(__dmhelper_complete)'
