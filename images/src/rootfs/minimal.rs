//! The minimal root file system: busybox under all its names, and the few files that programs look
//! for.

use std::fs;
use std::path::Path;

use super::{RootfsError, check_static};
use crate::cpio::Meta;
use crate::tree::Tree;

/// Which programs busybox plays, by directory. The list is fixed rather than asked of busybox, so
/// that nothing is executed and images do not depend on it; a name that a busybox does not know
/// answers `applet not found`.
pub const APPLETS: &[(&str, &str)] = &[
    (
        "bin",
        "arch ash base64 cat chgrp chmod chown cp cpio cttyhack date dd df dmesg \
         dnsdomainname dumpkmap echo ed egrep false fgrep getopt grep gunzip gzip \
         hostname ionice ipcalc kill link linux32 linux64 ln login ls mkdir mknod mktemp \
         more mount mt mv netstat pidof ping ping6 ps pwd readlink rev rm rmdir run-parts \
         sed setpriv sh sleep stat stty su sync tar touch true umount uname uncompress \
         usleep vi watch zcat",
    ),
    (
        "sbin",
        "adjtimex arp blockdev devmem fdisk findfs freeramdisk fstrim getty halt hwclock \
         ifconfig ifdown ifup insmod ip ipneigh klogd loadkmap logread losetup lsmod mdev \
         mkdosfs mke2fs mkswap modinfo modprobe nameif pivot_root poweroff reboot rmmod \
         route start-stop-daemon sulogin swapoff swapon switch_root sysctl syslogd tc \
         tunctl udhcpc uevent vconfig watchdog",
    ),
    (
        "usr/bin",
        "[ [[ ar ascii awk basename blkdiscard bunzip2 bzcat bzip2 cal chvt clear cmp \
         crc32 cut deallocvt diff dirname dos2unix du dumpleases env expand expr factor \
         fallocate find fold free groups head hexdump hostid id killall last less logger \
         logname lsscsi lzcat lzma md5sum microcom mkfifo mkpasswd nc nl nproc nsenter \
         nslookup od openvt passwd paste patch printf realpath renice reset seq \
         setkeycodes setsid sha1sum sha256sum sha3sum sha512sum shred shuf sort strings \
         tac tail taskset tee telnet test tftp time timeout top tr traceroute traceroute6 \
         truncate ts tty unexpand uniq unix2dos unlink unlzma unshare unxz unzip uptime \
         uudecode uuencode w wc wget which who whoami xargs xxd xz xzcat yes",
    ),
    ("usr/sbin", "arping brctl chroot fsfreeze loadfont nologin partprobe rdate"),
];

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";

const GROUP: &str = "\
root:x:0:
daemon:x:1:
tty:x:5:
disk:x:6:
nogroup:x:65534:
";

const HOSTS: &str = "\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
";

const PROFILE: &str = r"export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PS1='\u@\h:\w\$ '
alias ll='ls -l'
";

const OS_RELEASE: &str = "\
NAME=partitiond
ID=partitiond
PRETTY_NAME=\"partitiond minimal root file system\"
";

/// Directories with mode 0755, each before what is in it.
const DIRECTORIES: &str = "bin dev etc home lib lib/modules mnt opt proc run sbin srv sys usr \
                           usr/bin usr/sbin var var/lib var/log";

/// Makes the minimal root file system of a static busybox.
///
/// # Errors
///
/// [`RootfsError::NotStatic`], [`RootfsError::Read`] and [`RootfsError::Tree`].
pub fn minimal(tree: &mut Tree, busybox: &Path) -> Result<(), RootfsError> {
    let program =
        fs::read(busybox).map_err(|error| RootfsError::Read(busybox.to_owned(), error))?;
    minimal_of(tree, &program, &busybox.display().to_string())
}

/// Makes the minimal root file system of a static busybox that is in memory; `name` is for messages.
///
/// # Errors
///
/// [`RootfsError::NotStatic`] and [`RootfsError::Tree`].
pub fn minimal_of(tree: &mut Tree, program: &[u8], name: &str) -> Result<(), RootfsError> {
    check_static(program, name)?;
    for directory in DIRECTORIES.split_whitespace() {
        tree.directory(directory, Meta::root(0o755))?;
    }
    tree.directory("root", Meta::root(0o700))?;
    tree.directory("tmp", Meta::root(0o1777))?;
    tree.directory("var/tmp", Meta::root(0o1777))?;
    tree.symlink("var/run", "/run", Meta::root(0o777))?;
    tree.symlink("init", protocol::image::INIT, Meta::root(0o777))?;
    tree.bytes("bin/busybox", Meta::root(0o755), program)?;
    for (directory, names) in APPLETS {
        let busybox = match *directory {
            "bin" => "busybox",
            "sbin" => "../bin/busybox",
            _ => "../../bin/busybox",
        };
        for name in names.split_whitespace() {
            tree.symlink(&format!("{directory}/{name}"), busybox, Meta::root(0o777))?;
        }
    }
    for (name, text) in [
        ("passwd", PASSWD),
        ("group", GROUP),
        ("hosts", HOSTS),
        ("profile", PROFILE),
        ("os-release", OS_RELEASE),
        ("resolv.conf", ""),
    ] {
        tree.bytes(&format!("etc/{name}"), Meta::root(0o644), text.as_bytes())?;
    }
    Ok(())
}
