# Completion of pgsocle for bash: source it, or keep it as /usr/share/bash-completion/completions/pgsocle.
_pgsocle() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("${line%%$'\t'*}")
    done < <(pgsocle dev complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
# File names where there is nothing else to offer.
complete -o default -F _pgsocle pgsocle
