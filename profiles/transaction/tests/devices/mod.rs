//! Network devices for tests, made and looked at by other ways than those that are tested.

use std::ffi::CString;
use std::fs;
use std::io;
use std::mem::zeroed;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

/// Moves this process, which must have one thread, to a network namespace of its own. Who is not root
/// becomes it in a user namespace.
pub fn own_namespace() {
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let flags = match user.is_root() {
        true => CloneFlags::CLONE_NEWNET,
        false => CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUSER,
    };
    unshare(flags).expect("a network namespace can be made: as root, or with user namespaces");
    if !user.is_root() {
        fs::write("/proc/self/setgroups", "deny").unwrap();
        fs::write("/proc/self/uid_map", format!("0 {user} 1")).unwrap();
        fs::write("/proc/self/gid_map", format!("0 {group} 1")).unwrap();
    }
}

/// Two devices, what one of which sends the other receives. Gone with this value.
pub struct Veth {
    own: &'static str,
    peer: &'static str,
}

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const NEW_QDISC: u16 = 36;

impl Veth {
    /// Both up.
    pub fn new(own: &'static str, peer: &'static str) -> Self {
        let mut within = link(0);
        within.extend(attribute(3, &text(peer)));
        // VETH_INFO_PEER in IFLA_INFO_DATA, in IFLA_LINKINFO beside IFLA_INFO_KIND.
        let data = attribute(2, &attribute(1, &within));
        let info = [attribute(1, &text("veth")), data].concat();
        let body = [link(0), attribute(3, &text(own)), attribute(18, &info)].concat();
        // NLM_F_CREATE and NLM_F_EXCL.
        say(NEW_LINK, 0x600, &body).expect("a pair of devices can be made (CONFIG_VETH)");
        let veth = Self { own, peer };
        veth.set(libc::IFF_UP as u32);
        veth
    }

    /// Takes both down.
    pub fn down(&self) {
        self.set(0);
    }

    fn set(&self, flags: u32) {
        for name in [self.own, self.peer] {
            say(NEW_LINK, 0, &[link(flags), attribute(3, &text(name))].concat()).unwrap();
        }
    }

    /// What an operator makes with `tc qdisc add dev … root handle 1: htb`.
    pub fn set_up_htb(&self, device: &str) {
        let name = CString::new(device).unwrap();
        // SAFETY: the name ends with a NUL and lives through the call.
        let number = unsafe { libc::if_nametoindex(name.as_ptr()) };
        let mut body = vec![0; 4];
        for field in [number, 1 << 16, u32::MAX, 0] {
            body.extend(field.to_ne_bytes());
        }
        // TCA_HTB_INIT: struct tc_htb_glob, version 3.
        let glob: Vec<u8> = [3_u32, 10, 0, 0, 0].iter().flat_map(|it| it.to_ne_bytes()).collect();
        body.extend(attribute(1, &text("htb")));
        body.extend(attribute(2, &attribute(2, &glob)));
        say(NEW_QDISC, 0x600, &body).expect("htb can be set up (CONFIG_NET_SCH_HTB)");
    }
}

impl Drop for Veth {
    fn drop(&mut self) {
        say(DELETE_LINK, 0, &[link(0), attribute(3, &text(self.own))].concat()).unwrap();
    }
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

/// `struct ifinfomsg`, with IFF_UP as the flags say.
fn link(flags: u32) -> Vec<u8> {
    [[0; 8].to_vec(), flags.to_ne_bytes().to_vec(), (libc::IFF_UP as u32).to_ne_bytes().to_vec()]
        .concat()
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Says something to rtnetlink, which must agree.
fn say(kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    // NLM_F_REQUEST and NLM_F_ACK.
    bytes.extend((flags | 5).to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(body);
    send(socket.as_raw_fd(), &bytes, MsgFlags::empty())?;
    let mut answer = [0; 4096];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    assert!(length >= 20);
    match i32::from_ne_bytes(answer[16..20].try_into().unwrap()) {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(-number)),
    }
}

fn request(device: &str) -> libc::ifreq {
    // SAFETY: zeros are a request without a name.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()) {
        *to = from.cast_signed();
    }
    request
}

fn ask(request: &mut libc::ifreq, number: libc::c_ulong) {
    let socket = UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("0.0.0.0:0")).unwrap();
    // SAFETY: the request, and what it points to, live through the call and are of the size that it has.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), number as _, request) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// The MTU as `SIOCGIFMTU` says.
pub fn mtu_by_ioctl(device: &str) -> i32 {
    let mut request = request(device);
    ask(&mut request, libc::SIOCGIFMTU);
    // SAFETY: that request fills in this field.
    unsafe { request.ifr_ifru.ifru_mtu }
}

/// Two features.
pub struct Features {
    pub tso: bool,
    pub gro: bool,
}

/// What is in force by `ETHTOOL_GFEATURES`: four words for each 32 features, the third of which says that.
pub fn features_by_ioctl(device: &str) -> Features {
    const GET: u32 = 0x3a;
    const BLOCKS: u32 = 2;
    let mut words = [0_u32; 2 + 4 * BLOCKS as usize];
    (words[0], words[1]) = (GET, BLOCKS);
    let mut request = request(device);
    request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    ask(&mut request, libc::SIOCETHTOOL);
    let is_on = |bit: u32| words[4] & 1 << bit != 0;
    // NETIF_F_TSO_BIT and NETIF_F_GRO_BIT (include/linux/netdev_features.h).
    Features { tso: is_on(16), gro: is_on(14) }
}
