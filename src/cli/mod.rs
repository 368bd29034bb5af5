//! Every subcommand's arguments: the one definition of the command line.
//!
//! A subcommand is added in these places; `cargo test --lib --test man --test install` names each that was forgotten but
//! the last:
//!
//! - a file here: a struct with its options, whose comments are the help, and `run` (`name.rs` is the shortest);
//! - this file: `mod`, `Command`, `run`; `complete.rs`: what its arguments stand for;
//! - a page in `man/`, or a section of one and a link in the Makefile's `MAN_LINKS`; the synopsis of dmhelper(8);
//! - a scenario in `tests/scenarios/ours/` (`tests/README.md` tells how), a line in `CHANGELOG.md`.

mod check_initramfs;
mod complete;
mod cookie;
mod deps;
mod detach;
mod doctor;
mod explain;
mod help;
mod info;
mod listen;
mod ls;
mod monitor;
mod name;
mod refresh;
mod translate;
mod tree;
mod udev;
mod wait;
mod words;

use std::ffi::OsString;
use std::io::Write;

use argh::{ArgsInfo, FromArgs};

use crate::error::{Error, Result};
use crate::stdio;
use crate::survey::Survey;

/// Show and explain device-mapper devices, and give them their names and links.
#[derive(ArgsInfo, FromArgs, Debug)]
struct Arguments {
    #[argh(subcommand)]
    command: Command,
}

#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand)]
enum Command {
    Info(info::Info),
    Ls(ls::Ls),
    Tree(tree::Tree),
    Deps(deps::Deps),
    Name(name::Name),
    Translate(translate::Translate),
    Explain(explain::Explain),
    Doctor(doctor::Doctor),
    Udev(udev::Udev),
    Cookie(cookie::Cookie),
    Listen(listen::Listen),
    Event(listen::EventCommand),
    Monitor(monitor::Monitor),
    Wait(wait::Wait),
    Refresh(refresh::Refresh),
    Detach(detach::Detach),
    CheckInitramfs(check_initramfs::CheckInitramfs),
    Version(Version),
}

/// Print the program's version.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "version")]
struct Version {}

/// Parses the command line, runs its command and tells the program's exit status.
pub fn run(words: impl IntoIterator<Item = OsString>) -> Result<u8> {
    let arguments = match parse(words)? {
        Ok(arguments) => arguments,
        Err(status) => return Ok(status),
    };
    match arguments.command {
        Command::Info(command) => command.run()?,
        Command::Ls(command) => command.run()?,
        Command::Tree(command) => command.run()?,
        Command::Deps(command) => command.run()?,
        Command::Name(command) => command.run()?,
        Command::Translate(command) => command.run()?,
        Command::Explain(command) => return command.run(),
        Command::Doctor(command) => return command.run(),
        Command::Udev(command) => command.run()?,
        Command::Cookie(command) => return command.run(),
        Command::Listen(command) => return command.run(),
        Command::Event(command) => command.run()?,
        Command::Monitor(command) => command.run()?,
        Command::Wait(command) => command.run()?,
        Command::Refresh(command) => command.run()?,
        Command::Detach(command) => return command.run(),
        Command::CheckInitramfs(command) => command.run()?,
        Command::Version(_) => print(concat!("dmhelper ", env!("CARGO_PKG_VERSION"), "\n"))?,
    }
    Ok(0)
}

/// The arguments; an exit status when there is nothing more to do: help was asked for, which is printed then.
fn parse(words: impl IntoIterator<Item = OsString>) -> Result<std::result::Result<Arguments, u8>> {
    let words = words.into_iter().skip(1).map(|word| {
        word.into_string().map_err(|word| Error::usage("argument", word.as_encoded_bytes(), "not UTF-8; name the device by its number"))
    });
    let mut words = words.collect::<Result<Vec<String>>>()?;
    if words.first().is_some_and(|first| first == "--version" || first == "-V") {
        words = vec!["version".to_string()];
    }
    // For the shells' scripts, not for people: no command that the help lists.
    if let Some(("complete", words)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return complete::run(words).map(|()| Err(0));
    }
    if !words::are_plain(&words) {
        words = words::plain(&Arguments::get_args_info(), words);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words.is_empty() {
        // Who is not there to read it has asked for nothing.
        let _ = std::io::stderr().write_all(help::text().as_bytes());
        return Ok(Err(2));
    }
    if words.iter().all(|word| matches!(*word, "--help" | "help")) {
        return print(&help::text()).map(|()| Err(0));
    }
    match Arguments::from_args(&["dmhelper"], &words) {
        Ok(arguments) => Ok(Ok(arguments)),
        Err(early) if early.status.is_ok() => print(&help::of_command(&early.output)).map(|()| Err(0)),
        Err(early) => Err(words::fault(&Arguments::get_args_info(), &words, &early.output)),
    }
}

/// The kernel takes the size of a socket's queue as an `int` (socket(7), SO_RCVBUF).
const SIZE_MAX: usize = i32::MAX as usize;

/// Bytes, or with K or M.
fn size(text: &str) -> std::result::Result<usize, String> {
    let (digits, unit) = match text.strip_suffix('M') {
        Some(digits) => (digits, 1 << 20),
        None => text.strip_suffix('K').map_or((text, 1), |digits| (digits, 1 << 10)),
    };
    let wrong = |cause| Error::usage("size", text, cause).to_string();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong("not a number of bytes such as 65536, 64K or 8M"));
    }
    let bytes = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    bytes.filter(|bytes| *bytes <= SIZE_MAX).ok_or_else(|| wrong("larger than 2047M"))
}

/// What succeeded, and what did not.
fn split<T>(results: impl Iterator<Item = Result<T>>) -> (Vec<T>, Vec<Error>) {
    let (mut values, mut failures) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error) => failures.push(error),
        }
    }
    (values, failures)
}

/// Reports every failure: the one that decides the exit status last, by returning it.
fn worst(mut failures: Vec<Error>) -> Result<()> {
    let Some((at, _)) = failures.iter().enumerate().max_by_key(|(_, error)| error.status()) else { return Ok(()) };
    let worst = failures.remove(at);
    for failure in failures {
        log::error!("{failure}");
    }
    Err(worst)
}

/// Reports what could not be read and left something blank: the first of it, and how much more there is.
fn tell_troubles(command: &str, survey: &Survey<'_>) {
    let troubles = survey.take_troubles();
    let Some((first, more)) = troubles.split_first() else { return };
    match more.len() {
        0 => log::warn!("{command}: {first}"),
        count => log::warn!("{command}: {first}; and {count} more"),
    }
}

/// Writes text to stdout at once; where there is none, it is no fault to have nothing to say.
fn print(text: &str) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    stdio::stdout()?.write_all(text.as_bytes()).map_err(|error| Error::io("write", "standard output", &error))
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        assert_eq!((size("4096"), size("64K"), size("8M")), (Ok(4096), Ok(65536), Ok(8 << 20)));
        for wrong in ["", "K", "1G", "-1", "1.5M", "+1"] {
            assert_eq!(
                size(wrong).unwrap_err(),
                format!("size {wrong:?}: not a number of bytes such as 65536, 64K or 8M")
                    .replace('"', if wrong.is_empty() { "\"" } else { "" })
            );
        }
    }

    #[test]
    fn a_size_that_the_kernel_cannot_take_is_refused_and_never_another_one() {
        assert_eq!((size("2147483647"), size("2047M")), (Ok(i32::MAX as usize), Ok(2047 << 20)));
        // The last three are 64 bits and more: what is left of them would be 0, 0 and 1K.
        for wrong in ["2048M", "4096M", "2147483648", "99999999999999999999", "17592186044416M", "18014398509481984K", "18014398509481985K"]
        {
            assert_eq!(size(wrong).unwrap_err(), format!("size {wrong}: larger than 2047M"));
        }
    }
}
