//! Who asks udevd something, and is answered by the claim.
//!
//! Up to systemd 261, `udevadm settle` and `udevadm control` ask several things and wait for the end of the connection,
//! which tells them that all is done. They get that end, but the connection stays until they close it: a question sent
//! into a closed one would kill them with SIGPIPE. From 262 on they call a method by varlink, one message of JSON that ends
//! with NUL, and wait for the reply: `settle` and `control --ping` ask for a sign of life. See <https://varlink.org>.

use std::io::{ErrorKind, Read};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use nix::sys::socket::{MsgFlags, send};

/// More than any question is long.
const QUESTION_MAX: usize = 1 << 16;

/// How they talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Packets,
    Varlink,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) stream: UnixStream,
    protocol: Protocol,
    /// What was asked and is not answered yet.
    asked: Vec<u8>,
    /// Whether it is to be answered.
    pub(super) waits: bool,
}

impl Caller {
    /// `None` if it has gone already.
    pub(super) fn new(stream: UnixStream, protocol: Protocol) -> Option<Self> {
        stream.set_nonblocking(true).ok()?;
        Some(Self { stream, protocol, asked: Vec::new(), waits: protocol == Protocol::Packets })
    }

    /// Takes what it has to say; tells whether it is still there.
    pub(super) fn hear(&mut self) -> bool {
        let mut buffer = [0; 512];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(length @ 1..) if self.protocol == Protocol::Varlink => {
                    self.asked.extend_from_slice(buffer.get(..length).unwrap_or_default());
                    self.waits |= self.asked.contains(&0);
                    if self.asked.len() > QUESTION_MAX {
                        return false;
                    }
                }
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Ok(0) | Err(_) => return false,
            }
        }
    }

    /// Tells it that all is done; whether it could be told.
    pub(super) fn answer(&mut self) -> bool {
        self.waits = false;
        if self.protocol == Protocol::Packets {
            return self.stream.shutdown(Shutdown::Write).is_ok();
        }
        while let Some(end) = self.asked.iter().position(|&b| b == 0) {
            let question: Vec<u8> = self.asked.drain(..=end).collect();
            let Some(reply) = reply(question.get(..end).unwrap_or_default()) else { return false };
            // No signal if it has gone.
            if send(self.stream.as_raw_fd(), &reply, MsgFlags::MSG_NOSIGNAL) != Ok(reply.len()) {
                return false;
            }
        }
        true
    }
}

/// The reply to a varlink call, with its NUL; `None` to what makes no sense. There are no rules to read again and no workers
/// to stop here: whoever asks for that is told so.
fn reply(call: &[u8]) -> Option<Vec<u8>> {
    let call: serde_json::Value = serde_json::from_slice(call).ok()?;
    let method = call.get("method")?.as_str()?;
    let mut reply = match method {
        _ if call.get("oneway").and_then(serde_json::Value::as_bool) == Some(true) => return Some(Vec::new()),
        "io.systemd.service.Ping" => serde_json::json!({}),
        _ => serde_json::json!({ "error": "org.varlink.service.MethodNotFound", "parameters": { "method": method } }),
    }
    .to_string()
    .into_bytes();
    reply.push(0);
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_sign_of_life_is_given_and_nothing_else_is_promised() {
        let reply = |call: &str| reply(call.as_bytes()).map(|reply| String::from_utf8(reply).unwrap());
        assert_eq!(reply(r#"{"method":"io.systemd.service.Ping"}"#).unwrap(), "{}\0");
        assert_eq!(reply(r#"{"method":"io.systemd.service.Ping","parameters":{}}"#).unwrap(), "{}\0");
        assert_eq!(
            reply(r#"{"method":"io.systemd.Udev.Exit"}"#).unwrap(),
            "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"io.systemd.Udev.Exit\"}}\0"
        );
        assert_eq!(reply(r#"{"method":"io.systemd.service.Ping","oneway":true}"#).unwrap(), "");
        for nonsense in ["", "{}", "[]", "{\"method\":7}", "{\"method\""] {
            assert_eq!(reply(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn questions_are_answered_one_by_one_when_it_is_time() {
        let (mut udevadm, ours) = UnixStream::pair().unwrap();
        udevadm.set_read_timeout(Some(std::time::Duration::from_millis(20))).unwrap();
        let mut caller = Caller::new(ours, Protocol::Varlink).unwrap();
        let call = b"{\"method\":\"io.systemd.service.Ping\"}\0";
        udevadm.write_all(&call[..9]).unwrap();
        assert!(caller.hear() && !caller.waits, "half a question");
        udevadm.write_all(&call[9..]).unwrap();
        udevadm.write_all(call).unwrap();
        assert!(caller.hear() && caller.waits);
        let mut buffer = [0; 64];
        assert!(udevadm.read(&mut buffer).is_err(), "not before its time");
        assert!(caller.answer() && !caller.waits);
        let length = udevadm.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"{}\0{}\0");
        udevadm.write_all(b"what?\0").unwrap();
        assert!(caller.hear() && !caller.answer(), "nonsense ends it");
        udevadm.write_all(&[b'x'; QUESTION_MAX + 1]).unwrap();
        assert!(!caller.hear(), "too much");
        drop(udevadm);
        assert!(!caller.hear());
    }
}
