//! Users and groups of the partition, from its own `/etc/passwd` and `/etc/group`.

/// Who a program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups, the primary one included, in ascending order.
    pub groups: Vec<u32>,
    /// `HOME`.
    pub home: String,
    /// `USER`; the number where the user has no name.
    pub name: String,
    /// `SHELL`.
    pub shell: String,
}

/// Why a user cannot be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// no such user
    #[error("no user `{0}` in the partition's /etc/passwd")]
    NoUser(String),
    /// no such group
    #[error("no group `{0}` in the partition's /etc/group")]
    NoGroup(String),
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
    shell: &'a str,
}

/// Lines that are malformed are passed over, as the C library does.
fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1)?;
        let shell = fields.next().unwrap_or_default();
        Some(User { name, uid, gid, home, shell })
    })
}

/// Name, number and members of each group.
fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

/// The credentials for `user`, `user:group`, `uid` or `uid:gid`; root where empty. A number needs no
/// entry in `/etc/passwd`; its group then is the number 0 unless named.
///
/// # Errors
///
/// A name that is not there.
pub fn resolve(who: &str, passwd: &str, group: &str) -> Result<Credentials, UserError> {
    let (user, wanted_group) = match who.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (who, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let found = users(passwd)
        .find(|entry| entry.name == user)
        .or_else(|| users(passwd).find(|entry| Some(entry.uid) == number));
    let mut credentials = match (&found, number) {
        (Some(entry), _) => Credentials {
            uid: entry.uid,
            gid: entry.gid,
            groups: groups(group)
                .filter(|(_, _, members)| members.split(',').any(|name| name == entry.name))
                .map(|(_, gid, _)| gid)
                .collect(),
            home: or(entry.home, "/"),
            name: entry.name.to_owned(),
            shell: or(entry.shell, "/bin/sh"),
        },
        (None, Some(uid)) => Credentials {
            uid,
            gid: 0,
            groups: Vec::new(),
            home: if uid == 0 { "/root" } else { "/" }.to_owned(),
            name: if uid == 0 { "root".to_owned() } else { user.to_owned() },
            shell: "/bin/sh".to_owned(),
        },
        (None, None) => return Err(UserError::NoUser(user.to_owned())),
    };
    if let Some(wanted) = wanted_group {
        credentials.gid = groups(group)
            .find(|(name, _, _)| *name == wanted)
            .map(|(_, gid, _)| gid)
            .or_else(|| wanted.parse().ok())
            .ok_or_else(|| UserError::NoGroup(wanted.to_owned()))?;
    }
    credentials.groups.push(credentials.gid);
    credentials.groups.sort_unstable();
    credentials.groups.dedup();
    Ok(credentials)
}

fn or(value: &str, default: &str) -> String {
    if value.is_empty() { default } else { value }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nbroken\n\
                          postgres:x:105:110::/var/lib/postgresql:/bin/sh\n7:x:300:300::/n:\n";
    const GROUP: &str = "root:x:0:\nssl-cert:x:111:postgres,other\npostgres:x:110:\ntty:x:5:\n";

    #[test]
    fn nobody_named_is_root() {
        let root = resolve("", PASSWD, GROUP).unwrap();
        assert_eq!((root.uid, root.gid, root.home.as_str()), (0, 0, "/root"));
        assert_eq!(resolve("", "", "").unwrap().home, "/root");
    }

    #[test]
    fn a_user_brings_its_groups() {
        let user = resolve("postgres", PASSWD, GROUP).unwrap();
        assert_eq!((user.uid, user.gid, user.groups), (105, 110, vec![110, 111]));
        assert_eq!(user.home, "/var/lib/postgresql");
        assert_eq!(resolve("postgres:tty", PASSWD, GROUP).unwrap().gid, 5);
        assert_eq!(resolve("105", PASSWD, GROUP).unwrap().name, "postgres");
    }

    #[test]
    fn numbers_need_no_entry_and_names_come_first() {
        let user = resolve("1234:99", PASSWD, GROUP).unwrap();
        assert_eq!((user.uid, user.gid, user.groups), (1234, 99, vec![99]));
        assert_eq!(resolve("7", PASSWD, GROUP).unwrap().uid, 300);
    }

    #[test]
    fn who_is_not_there_is_an_error() {
        assert_eq!(resolve("nobody", PASSWD, GROUP), Err(UserError::NoUser("nobody".into())));
        assert_eq!(resolve("root:x", PASSWD, GROUP), Err(UserError::NoGroup("x".into())));
        assert_eq!(resolve("-1", PASSWD, GROUP), Err(UserError::NoUser("-1".into())));
        assert_eq!(resolve("4294967296", "", ""), Err(UserError::NoUser("4294967296".into())));
    }

    proptest::proptest! {
        #[test]
        fn no_file_panics(who: String, passwd: String, group: String) {
            let _ = resolve(&who, &passwd, &group);
        }
    }
}
