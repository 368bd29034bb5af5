use super::*;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use std::cell::RefCell;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};

/// Processes that are described, and sockets that are real.
struct System {
    folder: tempfile::TempDir,
    /// The lines of /proc/net/unix.
    table: RefCell<String>,
}

const PROGRAM_SET_UID: u32 = 0o4755;

impl System {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        ["proc/net", "proc/self/ns", "udev", "container", "root"]
            .iter()
            .for_each(|name| fs::create_dir_all(folder.path().join(name)).unwrap());
        let system = Self { folder, table: RefCell::default() };
        symlink("pid:[4026531836]", system.at("proc/self/ns/pid")).unwrap();
        symlink("ipc:[1]", system.at("proc/self/ns/ipc")).unwrap();
        system.process(1, "systemd", 'S', 0);
        system
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self) -> PathBuf {
        self.at("udev")
    }

    fn process(&self, pid: u32, name: &str, state: char, parent: u32) {
        self.users(pid, name, state, parent, "0\t0\t0\t0");
    }

    fn users(&self, pid: u32, name: &str, state: char, parent: u32, users: &str) {
        let at = |file: &str| self.at(&format!("proc/{pid}/{file}"));
        fs::create_dir_all(at("fd")).unwrap();
        fs::write(at("stat"), format!("{pid} ({name}) {state} {parent} 1")).unwrap();
        fs::write(at("status"), format!("Uid:\t{users}\n")).unwrap();
        let _ = symlink("/", at("root"));
    }

    fn ends(&self, pid: u32) {
        fs::remove_dir_all(self.at(&format!("proc/{pid}"))).unwrap();
    }

    /// The process is in a container, with another directory in the place of ours.
    fn contain(&self, pid: u32) {
        let at = self.at(&format!("proc/{pid}/root"));
        fs::remove_file(&at).unwrap();
        let inside = self.at("root").join(self.run().strip_prefix("/").unwrap());
        fs::create_dir_all(inside).unwrap();
        symlink(self.at("root"), at).unwrap();
        self.cookies(pid, "ipc:[2]");
    }

    /// The process has this IPC namespace; our own is `ipc:[1]`.
    fn cookies(&self, pid: u32, namespace: &str) {
        let at = self.at(&format!("proc/{pid}/ns"));
        fs::create_dir_all(&at).unwrap();
        let _ = fs::remove_file(at.join("ipc"));
        symlink(namespace, at.join("ipc")).unwrap();
    }

    /// A listening socket is listed under that path, and these processes have it.
    fn listed(&self, inode: u64, path: &Path, processes: &[u32]) {
        self.table.borrow_mut().push_str(&format!("0: 2 0 00010000 0001 01 {inode} {}\n", path.display()));
        fs::write(self.at("proc/net/unix"), &*self.table.borrow()).unwrap();
        for pid in processes {
            symlink(format!("socket:[{inode}]"), self.at(&format!("proc/{pid}/fd/{inode}"))).unwrap();
        }
    }

    fn unlisted(&self) {
        self.table.borrow_mut().clear();
        fs::write(self.at("proc/net/unix"), "").unwrap();
    }

    fn binds(&self, path: &Path, kind: SockType) -> OwnedFd {
        let socket = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(socket.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
        if kind != SockType::Datagram {
            listen(&socket, Backlog::new(1).unwrap()).unwrap();
        }
        socket
    }

    /// `control` as systemd 261 and earlier have it.
    fn old_kind(&self, inode: u64, processes: &[u32]) -> OwnedFd {
        let control = self.run().join("control");
        self.listed(inode, &control, processes);
        self.binds(&control, SockType::SeqPacket)
    }

    /// As systemd 262 has it.
    fn new_kind(&self, inode: u64, processes: &[u32]) -> OwnedFd {
        let varlink = self.run().join("io.systemd.Udev");
        self.listed(inode, &varlink, processes);
        symlink(&varlink, self.run().join("control")).unwrap();
        self.binds(&varlink, SockType::Stream)
    }

    fn find(&self) -> Udevd {
        let (run, proc) = (self.run(), self.at("proc"));
        let found = Udevd::find(&run, &proc);
        assert_eq!(Udevd::is_absent_from(&run, &proc), found.is_absent());
        found
    }

    fn processes(&self) -> Vec<u32> {
        Look::take(&self.run(), &self.at("proc")).processes.iter().map(|process| process.pid).collect()
    }
}

#[test]
fn without_anything_there_is_none() {
    let system = System::new();
    assert_eq!(system.find(), Udevd::Absent);
    fs::remove_dir(system.run()).unwrap();
    assert_eq!(system.find(), Udevd::Absent);
    // Not all processes can be seen, and nothing speaks for one that is hidden.
    system.ends(1);
    assert_eq!(system.find(), Udevd::Absent);
}

#[test]
fn a_container_with_the_hosts_cookies_does_not_see_its_udevd() {
    let system = System::new();
    let own = |namespace: &str, number: &str| {
        let at = system.at("proc/self/ns").join(namespace);
        fs::remove_file(&at).unwrap();
        symlink(format!("{namespace}:[{number}]"), at).unwrap();
    };
    own("ipc", "4026531839");
    assert_eq!(system.find(), Udevd::Absent, "the host itself");
    own("pid", "4026532200");
    assert_eq!(system.find(), Udevd::Unknown(Doubt::Processes));
    own("ipc", "4026532201");
    assert_eq!(system.find(), Udevd::Absent, "a container with cookies of its own");
}

#[test]
fn a_file_or_a_link_that_was_left_is_none() {
    let system = System::new();
    fs::write(system.run().join("control"), "").unwrap();
    assert_eq!(system.find(), Udevd::Absent);
    assert!(!Look::take(&system.run(), &system.at("proc")).busy);
    fs::write(system.run().join("queue"), "").unwrap();
    assert!(Look::take(&system.run(), &system.at("proc")).busy);
    fs::remove_file(system.run().join("control")).unwrap();
    symlink(system.run().join("io.systemd.Udev"), system.run().join("control")).unwrap();
    assert_eq!(system.find(), Udevd::Absent, "the link leads nowhere");
    fs::write(system.run().join("io.systemd.Udev"), "").unwrap();
    assert_eq!(system.find(), Udevd::Absent, "the link leads to what was left");
}

#[test]
fn either_kind_is_running_or_stopped_by_its_main_process() {
    type Kind = fn(&System, u64, &[u32]) -> OwnedFd;
    for kind in [System::old_kind as Kind, System::new_kind] {
        let system = System::new();
        system.process(8, "systemd-udevd", 'S', 1);
        let _socket = kind(&system, 70, &[8]);
        assert_eq!((system.find(), system.processes()), (Udevd::Running, vec![8]));
        system.process(9, "(udev-worker)", 'S', 8);
        system.process(8, "systemd-udevd", 'T', 1);
        assert_eq!((system.find(), system.processes()), (Udevd::Stopped, vec![8]), "a worker that sleeps on changes nothing");
        // Started by systemd, which keeps the socket.
        symlink("socket:[70]", system.at("proc/1/fd/70")).unwrap();
        assert_eq!(system.find(), Udevd::Stopped);
        system.process(8, "systemd-udevd", 'S', 1);
        assert_eq!(system.find(), Udevd::Running);
    }
}

#[test]
fn a_socket_that_systemd_holds_is_a_udevd_to_come() {
    for name in ["systemd", "init"] {
        let system = System::new();
        system.process(1, name, 'S', 0);
        let _socket = system.new_kind(70, &[1]);
        assert_eq!((system.find(), system.processes()), (Udevd::OnDemand, vec![]));
        system.process(9, "(udev-worker)", 'S', 1);
        assert_eq!(system.find(), Udevd::OnDemand, "it was killed, and comes again");
        system.process(8, "systemd-udevd", 'S', 1);
        assert_eq!(system.find(), Udevd::Running, "it has not got its descriptors yet");
    }
}

#[test]
fn a_claim_is_told_from_a_udevd() {
    let system = System::new();
    system.process(30, "dmhelper", 'S', 1);
    let claimed = system.run().join("control.30");
    system.listed(70, &claimed, &[30]);
    let _socket = system.binds(&claimed, SockType::SeqPacket);
    fs::hard_link(&claimed, system.run().join("control")).unwrap();
    fs::remove_file(&claimed).unwrap();
    assert_eq!(system.find(), Udevd::StandIn);
    // As one sees it who may not see its descriptors.
    fs::remove_dir_all(system.at("proc/30/fd")).unwrap();
    assert_eq!(system.find(), Udevd::StandIn);
    system.process(30, "bash", 'S', 1);
    assert_eq!(system.find(), Udevd::Unknown(Doubt::Holder));
}

#[test]
fn what_is_not_understood_is_doubt() {
    let system = System::new();
    let control = system.run().join("control");
    let datagrams = system.binds(&control, SockType::Datagram);
    assert_eq!(system.find(), Udevd::Unknown(Doubt::Holder), "a kind that no udevd has had yet");
    drop(datagrams);
    fs::remove_file(&control).unwrap();
    symlink("control", &control).unwrap();
    assert_eq!(system.find(), Udevd::Unknown(Doubt::Socket(Errno::ELOOP)));
    system.process(8, "systemd-udevd", 'S', 1);
    assert_eq!(system.find(), Udevd::Running);
    fs::remove_file(&control).unwrap();
    assert_eq!(system.find(), Udevd::Unknown(Doubt::Process(8)), "it may be about to bind its socket, or have a kind that is not known");
    system.process(8, "systemd-udevd", 'Z', 1);
    assert_eq!(system.find(), Udevd::Absent, "it has ended");
}

#[test]
fn a_udevd_whose_socket_was_removed_lives() {
    let system = System::new();
    system.process(8, "systemd-udevd", 'S', 1);
    let _socket = system.new_kind(70, &[8]);
    fs::remove_file(system.run().join("control")).unwrap();
    assert_eq!(system.find(), Udevd::Running);
    fs::remove_file(system.run().join("io.systemd.Udev")).unwrap();
    assert_eq!(system.find(), Udevd::Running);
    // Nobody sees it but by the socket's name.
    system.ends(8);
    assert_eq!(system.find(), Udevd::Absent, "all processes can be seen, and none has it");
    fs::remove_file(system.at("proc/self/ns/pid")).unwrap();
    symlink("pid:[4026532000]", system.at("proc/self/ns/pid")).unwrap();
    assert_eq!(system.find(), Udevd::Unknown(Doubt::Processes));
}

#[test]
fn a_udevd_of_another_network_namespace_is_found() {
    let system = System::new();
    system.process(8, "systemd-udevd", 'T', 1);
    let _socket = system.new_kind(70, &[8]);
    system.unlisted();
    assert_eq!(system.find(), Udevd::Stopped, "by its name");
    fs::create_dir(system.at("proc/8/net")).unwrap();
    fs::write(system.at("proc/8/net/unix"), format!("0: 2 0 00010000 0001 01 70 {}\n", system.run().join("io.systemd.Udev").display()))
        .unwrap();
    assert_eq!(system.find(), Udevd::Stopped, "by its socket");
    system.ends(8);
    assert_eq!(system.find(), Udevd::Unknown(Doubt::Holder), "its socket is there, and nobody is known to have it");
}

#[test]
fn a_udevd_of_another_directory_is_none_of_ours() {
    let system = System::new();
    // A container's that shares the network: its socket has the same name.
    system.process(20, "systemd-udevd", 'S', 19);
    system.contain(20);
    system.listed(80, &system.run().join("control"), &[20]);
    assert_eq!((system.find(), system.processes()), (Udevd::Absent, vec![]));
    fs::write(system.run().join("control"), "").unwrap();
    assert_eq!(system.find(), Udevd::Absent);
    fs::remove_file(system.run().join("control")).unwrap();
    system.process(8, "systemd-udevd", 'T', 1);
    let _socket = system.old_kind(70, &[8]);
    assert_eq!((system.find(), system.processes()), (Udevd::Stopped, vec![8]), "the container's runs, ours does not");
    // Another directory of the same mount namespace, as a test has it.
    system.process(21, "systemd-udevd", 'S', 1);
    system.listed(81, &system.at("container/control"), &[21]);
    assert_eq!((system.find(), system.processes()), (Udevd::Stopped, vec![8]));
}

/// As in a chroot with a /run of its own: it takes the events of all devices, and completes the cookies of whoever has them.
#[test]
fn a_udevd_of_another_directory_that_has_our_cookies_is_a_doubt() {
    for name in ["systemd-udevd", "(udev-worker)"] {
        let system = System::new();
        system.process(20, name, 'S', 1);
        system.contain(20);
        system.cookies(20, "ipc:[1]");
        system.listed(80, &system.run().join("control"), &[20]);
        assert_eq!((system.find(), system.processes()), (Udevd::Unknown(Doubt::Elsewhere(20)), vec![]));
        fs::remove_file(system.at("proc/20/ns/ipc")).unwrap();
        assert_eq!(system.find(), Udevd::Unknown(Doubt::Elsewhere(20)), "this is not known");
        fs::write(system.at("proc/20/status"), "Uid:\t0\t0\t0\t0\nNSpid:\t20\t2\n").unwrap();
        assert_eq!(system.find(), Udevd::Absent, "a container's");
    }
    let system = System::new();
    system.listed(80, &system.run().join("control"), &[1]);
    system.contain(1);
    system.cookies(1, "ipc:[1]");
    assert_eq!(system.find(), Udevd::Unknown(Doubt::Elsewhere(1)), "systemd, which starts it with the next event");
}

#[test]
fn an_impostor_is_no_udevd() {
    let system = System::new();
    system.users(21, "systemd-udevd", 'S', 1, "1000\t1000\t1000\t1000");
    assert_eq!(system.find(), Udevd::Absent, "a user's process");
    system.users(21, "systemd-udevd", 'S', 1, "65534\t0\t0\t0");
    assert_eq!(system.find(), Udevd::Absent, "su, which asks for a password");
    system.users(21, "systemd-udevd", 'S', 1, "0\t0\t0\t0");
    fs::write(system.at("proc/21/exe"), "").unwrap();
    fs::set_permissions(system.at("proc/21/exe"), fs::Permissions::from_mode(PROGRAM_SET_UID)).unwrap();
    assert_eq!(system.find(), Udevd::Absent, "sudo, which asks for a password");
    system.process(8, "systemd-udevd", 'T', 1);
    let _socket = system.old_kind(70, &[8]);
    assert_eq!((system.find(), system.processes()), (Udevd::Stopped, vec![8]));
    system.process(8, "systemd-udevd", 'S', 1);
    system.users(21, "systemd-udevd", 'T', 1, "0\t0\t0\t0");
    assert_eq!((system.find(), system.processes()), (Udevd::Running, vec![8]));
}

#[test]
fn a_worker_that_has_outlived_its_udevd_is_not_overlooked() {
    let system = System::new();
    system.process(9, "(udev-worker)", 'S', 1);
    assert_eq!((system.find(), system.processes()), (Udevd::Ending, vec![9]));
    system.process(8, "systemd-udevd", 'S', 1);
    let _socket = system.new_kind(70, &[8]);
    let look = Look::take(&system.run(), &system.at("proc"));
    assert_eq!((look.udevd, look.busy), (Udevd::Running, true), "another one has started meanwhile");
    system.process(9, "(udev-worker)", 'S', 8);
    assert!(!Look::take(&system.run(), &system.at("proc")).busy);
}

/// What users see, who may not read descriptors, nor connect to a socket of mode 0600.
#[test]
fn a_worker_with_its_dead_udevds_socket_is_no_udevd() {
    let find = |system: &System| Udevd::find(&system.run(), &system.at("proc"));
    let system = System::new();
    system.process(8, "systemd-udevd", 'S', 1);
    system.process(9, "(udev-worker)", 'S', 8);
    let _socket = system.new_kind(812, &[8, 9]);
    assert_eq!((find(&system), system.processes()), (Udevd::Running, vec![8]));
    system.ends(8);
    system.process(9, "(udev-worker)", 'S', 1);
    assert_eq!((find(&system), system.processes()), (Udevd::Ending, vec![9]), "it goes on");
    fs::write(system.at("proc/9/status"), "Uid:\t0\t0\t0\t0\nSigBlk:\t0008000000004203\n").unwrap();
    assert_eq!((find(&system), system.processes()), (Udevd::Absent, vec![]), "it waits for the dead");
    assert!(!Udevd::is_absent_from(&system.run(), &system.at("proc")), "that asks no process");
    system.process(10, "systemd-udevd", 'S', 1);
    assert_eq!(find(&system), Udevd::Running, "the next one");
    system.ends(10);
    symlink("socket:[812]", system.at("proc/1/fd/812")).unwrap();
    assert_eq!(find(&system), Udevd::OnDemand, "systemd has it as well");
    system.ends(1);
    system.process(1, "init", 'S', 0);
    system.listed(813, &system.run().join("control"), &[]);
    assert_eq!(find(&system), Udevd::Unknown(Doubt::Holder), "somebody else listens");
}

#[test]
fn users_are_told_by_names() {
    let system = System::new();
    system.process(8, "systemd-udevd", 'S', 1);
    fs::remove_dir_all(system.at("proc/8/fd")).unwrap();
    fs::remove_dir_all(system.at("proc/1/fd")).unwrap();
    let _socket = system.new_kind(70, &[]);
    assert_eq!(system.find(), Udevd::Running);
    system.ends(8);
    assert_eq!(system.find(), Udevd::Unknown(Doubt::Holder), "systemd, which they cannot know");
    // The host's, beside a directory of one's own.
    let other = System::new();
    other.process(8, "systemd-udevd", 'S', 1);
    fs::remove_dir_all(other.at("proc/8/fd")).unwrap();
    fs::create_dir(other.at("proc/8/net")).unwrap();
    fs::write(other.at("proc/8/net/unix"), "0: 2 0 00010000 0005 01 70 /run/udev/control\n").unwrap();
    assert_eq!((other.find(), other.processes()), (Udevd::Absent, vec![]));
}
