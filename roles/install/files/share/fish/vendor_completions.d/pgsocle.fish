# Completion of pgsocle for fish: keep it as pgsocle.fish in ~/.config/fish/completions, or source it.
function __pgsocle_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -e words[1]
    pgsocle dev complete -- $words (commandline --current-token --cut-at-cursor) 2>/dev/null
end
complete --command pgsocle --no-files --arguments '(__pgsocle_complete)'
# Files where a manifest or a log is named.
complete --command pgsocle --short-option f --force-files --require-parameter
complete --command pgsocle --long-option log-file --short-option l --force-files --require-parameter
