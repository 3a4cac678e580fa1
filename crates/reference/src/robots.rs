//! Adds the names of robots to the completion scripts.
//!
//! The scripts of clap complete commands and options. The names of robots come from the daemon on this computer, by
//! `dt-swarm-cli --robot-names`. Other robots choose these names, so a script must never let the shell interpret them.

use crate::Error;

/// Commands whose argument is a robot.
const COMMANDS: &str = "addresses doctor find";

/// Part of the script for bash that completes HOST, and the robots of commands. For other words it calls clap's
/// function.
const BASH: &str = r#"
_dt__swarm__cli__robots() {
    local robot
    COMPREPLY=()
    while IFS= read -r robot; do
        if [[ $robot == "$1"* ]]; then COMPREPLY+=("$robot"); fi
    done < <(command dt-swarm-cli --robot-names 2>/dev/null)
}

_dt__swarm__cli__or__robots() {
    local words=() position
    for ((position = 1; position < COMP_CWORD; position++)); do
        case ${COMP_WORDS[position]} in
            --socket|--swarm|--timeout)
                # The next word is the value of the option.
                ((position++))
                if ((position == COMP_CWORD)); then _dt__swarm__cli "$@"; return; fi
                ;;
            -*) ;;
            *) words+=("${COMP_WORDS[position]}") ;;
        esac
    done
    if [[ $2 == -* ]]; then _dt__swarm__cli "$@"; return; fi
    case ${#words[@]} in
        0) _dt__swarm__cli__robots "$2" ;;
        2)
            case " COMMANDS " in
                *" ${words[1]} "*) _dt__swarm__cli__robots "$2" ;;
                *) _dt__swarm__cli "$@" ;;
            esac
            ;;
        *) _dt__swarm__cli "$@" ;;
    esac
}

complete -F _dt__swarm__cli__or__robots -o bashdefault -o default dt-swarm-cli
"#;

/// Text in clap's script for zsh that completes HOST.
const ZSH_HOST: &str = ":_hosts'";
/// Text that completes the names of robots.
const ZSH_ROBOTS: &str = ":_dt-swarm-cli_robots'";
/// First line of clap's script for zsh after which functions may be defined.
const ZSH_BEGIN: &str = "autoload -U is-at-least\n";
/// Function for zsh that offers the names of robots. `compadd` takes them literally.
const ZSH: &str = r#"
_dt-swarm-cli_robots() {
    local -a robots
    robots=("${(@f)$(command dt-swarm-cli --robot-names 2>/dev/null)}")
    compadd -a robots
}
"#;

/// Part of the script for fish that completes HOST, and the robots of commands.
const FISH: &str = r#"
complete -c dt-swarm-cli -n "__fish_is_nth_token 1" -f -a "(command dt-swarm-cli --robot-names 2>/dev/null)"
complete -c dt-swarm-cli -n "__fish_is_nth_token 3; and __fish_seen_subcommand_from COMMANDS" -f -a "(command dt-swarm-cli --robot-names 2>/dev/null)"
"#;

/// Adds the names of robots to clap's script for bash.
pub(crate) fn in_bash(script: &str) -> String {
    format!("{script}{}", BASH.replace("COMMANDS", COMMANDS))
}

/// Adds the names of robots to clap's script for zsh, in place of the names of hosts.
///
/// # Errors
/// When the script has another form.
pub(crate) fn in_zsh(script: &str) -> Result<String, Error> {
    if !script.contains(ZSH_HOST) || script.matches(ZSH_BEGIN).count() != 1 {
        return Err(Error::Zsh);
    }
    Ok(script.replace(ZSH_HOST, ZSH_ROBOTS).replace(ZSH_BEGIN, &format!("{ZSH_BEGIN}{ZSH}")))
}

/// Adds the names of robots to clap's script for fish.
pub(crate) fn in_fish(script: &str) -> String {
    format!("{script}{}", FISH.replace("COMMANDS", COMMANDS))
}
