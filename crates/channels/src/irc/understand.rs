//! Interprets the messages of a server.

use super::session_error::{JoinRefusal, SessionError, quoted};
use irc_proto::{Command, Message, Prefix, Response};

/// Meaning of a message for this node.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The server welcomes this node under this nick.
    Welcome(String),
    /// The requested nick is not available.
    NickTaken,
    /// The nick of this node is now this one.
    Renamed(String),
    /// The server expects a PONG with this token at once.
    Ping(String),
    /// This node is in the channel.
    Joined,
    /// This node is not, or no longer, in the channel.
    NotInside(SessionError),
    /// This node is in the channel but may not speak there.
    Moderated(SessionError),
    /// A text in the channel: its sender and its content.
    Text(String, String),
    /// The connection is no longer usable.
    Over(SessionError),
    /// A message that does not matter to this node.
    Nothing,
}

/// Returns the meaning of a message for a node whose nick is `nick` and that wants to be in `channel`.
pub(crate) fn understand(message: Message, nick: &str, channel: &str) -> Heard {
    let sender = message.prefix.as_ref().map(Prefix::to_string).unwrap_or_default();
    let is_own = message.source_nickname().is_some_and(|source| source.eq_ignore_ascii_case(nick));
    let is_nick = |name: &str| name.eq_ignore_ascii_case(nick);
    let is_channel = |name: &str| name.eq_ignore_ascii_case(channel);
    match message.command {
        Command::PRIVMSG(to, text) if is_channel(&to) && !is_own => Heard::Text(sender, text),
        Command::PING(token, _) => Heard::Ping(token),
        Command::JOIN(joined, _, _) if is_own && is_channel(&joined) => Heard::Joined,
        Command::PART(left, _) if is_own && is_channel(&left) => Heard::NotInside(SessionError::Removed),
        Command::KICK(from, whom, reason) if is_nick(&whom) && is_channel(&from) => {
            Heard::NotInside(SessionError::Kicked {
                by: name_of(&sender),
                reason: quoted(&reason.unwrap_or_default()),
            })
        }
        Command::NICK(new) if is_own => Heard::Renamed(new),
        Command::KILL(whom, reason) if is_nick(&whom) => {
            Heard::Over(SessionError::Killed { by: name_of(&sender), reason: quoted(&reason) })
        }
        Command::ERROR(reason) => Heard::Over(SessionError::Ended(quoted(&reason))),
        Command::Response(response, parameters) => understand_response(response, &parameters, channel),
        _ => Heard::Nothing,
    }
}

fn understand_response(response: Response, parameters: &[String], channel: &str) -> Heard {
    let is_of_channel = parameters.iter().any(|parameter| parameter.eq_ignore_ascii_case(channel));
    let last = || quoted(parameters.last().map_or("", String::as_str));
    let not_joined = |refusal| Heard::NotInside(SessionError::NotJoined(refusal, last()));
    match response {
        Response::RPL_WELCOME => {
            parameters.first().map_or(Heard::Nothing, |nick| Heard::Welcome(nick.clone()))
        }
        // Servers also send this for channels that are temporarily unavailable.
        Response::ERR_UNAVAILRESOURCE if is_of_channel => not_joined(JoinRefusal::Unavailable),
        Response::ERR_NICKNAMEINUSE
        | Response::ERR_NICKCOLLISION
        | Response::ERR_UNAVAILRESOURCE
        | Response::ERR_ERRONEOUSNICKNAME => Heard::NickTaken,
        Response::ERR_PASSWDMISMATCH | Response::ERR_YOUREBANNEDCREEP | Response::ERR_NOPERMFORHOST => {
            Heard::Over(SessionError::NotLetIn(last()))
        }
        _ if !is_of_channel => Heard::Nothing,
        Response::ERR_BANNEDFROMCHAN => not_joined(JoinRefusal::Banned),
        Response::ERR_INVITEONLYCHAN => not_joined(JoinRefusal::InviteOnly),
        Response::ERR_BADCHANNELKEY => not_joined(JoinRefusal::NeedsKey),
        Response::ERR_CHANNELISFULL => not_joined(JoinRefusal::Full),
        Response::ERR_NOSUCHCHANNEL
        | Response::ERR_TOOMANYCHANNELS
        | Response::ERR_BADCHANMASK
        | Response::ERR_NOCHANMODES => not_joined(JoinRefusal::Impossible),
        Response::ERR_CANNOTSENDTOCHAN => Heard::Moderated(SessionError::Moderated(last())),
        _ => Heard::Nothing,
    }
}

/// Returns the nick of a sender, or the name of a server.
fn name_of(sender: &str) -> String {
    quoted(sender.split('!').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hear(line: &str) -> Heard {
        understand(line.parse().unwrap(), "duck", "#Duckiebots")
    }

    /// Returns the debug output of a line's meaning.
    fn shown(line: &str) -> String {
        format!("{:?}", hear(line))
    }

    #[test]
    fn only_messages_of_others_in_the_channel_are_texts() {
        let text = "PRIVMSG #duckiebots :{\"a\": 1}\r\n";
        assert_eq!(shown(&format!(":ada!a@b {text}")), r##"Text("ada!a@b", "{\"a\": 1}")"##);
        for line in
            [&format!(":DUCK!a@b {text}"), ":a!b@c PRIVMSG duck :{}\r\n", ":a!b@c NOTICE #duckiebots :{}"]
        {
            assert!(matches!(hear(line), Heard::Nothing), "{line}");
        }
    }

    #[test]
    fn messages_about_this_node_are_distinguished_from_those_about_others() {
        assert!(matches!(hear(":duck!a@b JOIN :#duckiebots"), Heard::Joined));
        assert!(matches!(hear(":ada!a@b JOIN :#duckiebots"), Heard::Nothing));
        assert!(matches!(hear(":duck!a@b JOIN :#other"), Heard::Nothing));
        let Heard::NotInside(kicked) = hear(":op!a@b KICK #duckiebots duck :be\x07gone") else { panic!() };
        assert_eq!(kicked.report().code(), "irc.kicked");
        assert!(
            kicked.to_string().starts_with(r"op kicked this node out of the channel: be\u{7}gone; "),
            "{kicked}"
        );
        assert!(matches!(hear(":op!a@b KICK #duckiebots ada :bye"), Heard::Nothing));
        assert_eq!(shown(":irc.lab 001 duck7 :Welcome"), r#"Welcome("duck7")"#);
        assert!(matches!(hear(":irc.lab 433 * duck :in use"), Heard::NickTaken));
        assert!(matches!(hear(":irc.lab 437 * duck :not available"), Heard::NickTaken));
        assert!(matches!(hear(":irc.lab 437 duck #duckiebots :not available"), Heard::NotInside(_)));
        assert!(matches!(hear(":irc.lab 474 duck #duckiebots :Cannot join"), Heard::NotInside(_)));
        assert!(matches!(hear(":irc.lab 404 duck #Duckiebots :Cannot send"), Heard::Moderated(_)));
        assert!(matches!(hear(":irc.lab 474 duck #other :Cannot join"), Heard::Nothing));
        assert!(matches!(hear("ERROR :Closing link"), Heard::Over(_)));
        assert!(matches!(hear(":op KILL duck :spam"), Heard::Over(_)));
        assert!(matches!(hear("PING :irc.lab"), Heard::Ping(token) if token == "irc.lab"));
        assert!(matches!(hear(":duck!a@b NICK :duck2"), Heard::Renamed(new) if new == "duck2"));
    }

    proptest! {
        #[test]
        fn any_line_is_interpreted_without_a_panic(line in "[:@]?[ :!@#a-zA-Z0-9{}\\PC]{0,80}") {
            if let Ok(message) = line.parse() {
                let _ = understand(message, "duck", "#duckiebots");
            }
        }
    }
}
