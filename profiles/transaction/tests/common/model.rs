//! A model of `/proc/sys` that lies in all the ways that real kernels were seen to.

use std::collections::BTreeMap;

use transaction::{Store, StoreError, Target};

const EIO: i32 = 5;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;

/// Settings by their path.
#[derive(Debug, Clone, Default)]
pub struct Model {
    cells: BTreeMap<String, Cell>,
    /// How many writes came, refused ones too.
    pub writes: u32,
}

#[derive(Debug, Clone)]
struct Cell {
    value: String,
    ways: Ways,
}

/// How a setting behaves.
#[derive(Debug, Clone)]
pub enum Ways {
    /// Takes numbers up to this, and says so.
    Honest(u64),
    /// Takes a number and whatever stands behind it.
    TakesJunk,
    /// Three ascending numbers, taken one by one until one is wrong, which is then an error. Reads
    /// with tabs.
    Vector,
    /// Clears its twin; takes no 0; does nothing if the value is the same.
    Bytes(&'static str),
    /// Clears its twin, if the value is another; takes 0.
    Ratio(&'static str),
    /// Clears its twin whatever is written.
    Overcommit(&'static str),
    /// Down to a multiple of this.
    Down(u64),
    /// Up to at least this.
    Raises(u64),
    /// Up to a power of two, and to 4096.
    PowerOfTwo,
    /// Takes the write and forgets it.
    Ignores,
    /// Takes a partition and says in words that it is void, if it is.
    Partition { is_void: bool },
    /// One of these words in brackets; the first raises another setting to at least so much.
    Choice(&'static [&'static str], Option<(&'static str, u64)>),
    /// 0 until it is 1.
    Latch,
    /// Cannot be read, and does something.
    Action,
    /// Only there while another one has this word in force; then it begins at its default.
    Within { other: &'static str, word: &'static str, default: &'static str },
    /// Two others at once; reads 1 if one of them does.
    Both(&'static str, &'static str),
    /// Changes, and then fails.
    FailsLate,
    /// Refuses everything.
    Refuses,
    /// Changes another setting as well, which nobody knows of.
    Spills(&'static str),
}

impl Model {
    /// Adds a setting.
    pub fn with(mut self, path: &str, value: &str, ways: Ways) -> Self {
        self.cells.insert(path.to_owned(), Cell { value: value.to_owned(), ways });
        self
    }

    /// What one reads.
    pub fn get(&self, path: &str) -> Option<String> {
        let cell = self.cells.get(path)?;
        Some(match &cell.ways {
            Ways::Within { other, word, .. }
                if self.get(other)? != brackets(self.words(other), word) =>
            {
                return None;
            }
            Ways::Vector => cell.value.replace(' ', "\t"),
            Ways::Choice(words, _) => brackets(words, &cell.value),
            Ways::Both(one, other) => {
                let any = [one, other].iter().any(|path| self.get(path).as_deref() == Some("1"));
                u8::from(any).to_string()
            }
            _ => cell.value.clone(),
        })
    }

    fn words(&self, path: &str) -> &'static [&'static str] {
        match self.cells.get(path).map(|cell| &cell.ways) {
            Some(Ways::Choice(words, _)) => words,
            _ => &[],
        }
    }

    /// Everything, as it reads.
    pub fn state(&self) -> BTreeMap<String, Option<String>> {
        self.cells.keys().map(|path| (path.clone(), self.get(path))).collect()
    }

    /// Everything that can be brought back, as it reads.
    pub fn reversible(&self) -> BTreeMap<String, Option<String>> {
        self.cells
            .iter()
            .filter(|(_, cell)| !matches!(cell.ways, Ways::Latch | Ways::Action))
            .map(|(path, _)| (path.clone(), self.get(path)))
            .collect()
    }

    /// Changes one as somebody else would, without asking its ways.
    pub fn set(&mut self, path: &str, value: &str) {
        self.cells.get_mut(path).expect("a known path").value = value.to_owned();
    }

    fn put(&mut self, path: &str, value: &str) -> Result<(), i32> {
        let Cell { value: old, ways } = self.cells.get(path).cloned().ok_or(EIO)?;
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        let number = || match words.as_slice() {
            [one] => one.parse::<u64>().map_err(|_| EINVAL),
            _ => Err(EINVAL),
        };
        match ways {
            Ways::Honest(most) => {
                let number = number()
                    .and_then(|number| if number > most { Err(EINVAL) } else { Ok(number) });
                self.set(path, &number?.to_string());
            }
            Ways::TakesJunk => {
                let number: u64 = words.first().and_then(|word| word.parse().ok()).ok_or(EINVAL)?;
                self.set(path, &number.to_string());
            }
            Ways::Vector => {
                let mut numbers: Vec<u64> =
                    old.split(' ').map(|word| word.parse().unwrap()).collect();
                for (at, slot) in numbers.clone().iter().enumerate() {
                    let given = words.get(at).and_then(|word| word.parse::<u64>().ok());
                    numbers[at] = given.unwrap_or(*slot);
                    let text: Vec<String> = numbers.iter().map(u64::to_string).collect();
                    self.set(path, &text.join(" "));
                    let next = words.get(at + 1).and_then(|word| word.parse::<u64>().ok());
                    if given.is_none() || next.is_some_and(|next| next < numbers[at]) {
                        return Err(EINVAL);
                    }
                }
            }
            Ways::Bytes(twin) => {
                let number = number()?;
                if number == 0 {
                    return Err(EINVAL);
                }
                if number.to_string() != old {
                    self.set(path, &number.to_string());
                    self.set(twin, "0");
                }
            }
            Ways::Ratio(twin) => {
                let number = number()
                    .and_then(|number| if number > 100 { Err(EINVAL) } else { Ok(number) })?;
                if number.to_string() != old {
                    self.set(path, &number.to_string());
                    self.set(twin, "0");
                }
            }
            Ways::Overcommit(twin) => {
                self.set(path, &number()?.to_string());
                self.set(twin, "0");
            }
            Ways::Down(of) => self.set(path, &(number()? / of * of).to_string()),
            Ways::Raises(least) => self.set(path, &number()?.max(least).to_string()),
            Ways::PowerOfTwo => {
                let number = number()?.clamp(4096, 1 << 40).next_power_of_two();
                self.set(path, &number.to_string());
            }
            Ways::Ignores => {}
            Ways::Partition { is_void } => match value {
                "isolated" if is_void => self.set(path, "isolated invalid (Cpu list empty)"),
                "isolated" | "member" => self.set(path, value),
                _ => return Err(EINVAL),
            },
            Ways::Choice(choices, moves) => {
                if !choices.contains(&value) {
                    return Err(EINVAL);
                }
                self.set(path, value);
                if let Some((other, least)) = moves
                    && choices.first() == Some(&value)
                {
                    let now: u64 = self.cells[other].value.parse().unwrap();
                    self.set(other, &now.max(least).to_string());
                }
                self.begin_within(path, value, &old);
            }
            Ways::Latch if value == "1" => self.set(path, "1"),
            Ways::Latch => return Err(EINVAL),
            Ways::Action => {}
            Ways::Within { .. } => self.set(path, &number()?.to_string()),
            Ways::Both(one, other) => {
                let value = number()
                    .and_then(|number| if number > 1 { Err(EINVAL) } else { Ok(number) })?;
                self.set(one, &value.to_string());
                self.set(other, &value.to_string());
            }
            Ways::FailsLate => {
                self.set(path, &number()?.to_string());
                if value != old && !old.starts_with('!') {
                    // The way back works.
                    self.set(path, &format!("!{value}"));
                    return Err(EIO);
                }
            }
            Ways::Refuses => return Err(EACCES),
            Ways::Spills(other) => {
                self.set(path, &number()?.to_string());
                self.set(other, value);
            }
        }
        Ok(())
    }

    /// Settings that come with a word begin at their default.
    fn begin_within(&mut self, path: &str, value: &str, old: &str) {
        for cell in self.cells.values_mut() {
            if let Ways::Within { other, word, default } = cell.ways
                && other == path
                && word == value
                && old != value
            {
                cell.value = default.to_owned();
            }
        }
    }
}

fn brackets(words: &[&str], chosen: &str) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|word| if *word == chosen { format!("[{word}]") } else { (*word).to_owned() })
        .collect();
    words.join(" ")
}

impl Store for Model {
    fn reaches(&self, target: &Target) -> bool {
        matches!(target, Target::File(_))
    }

    fn read(&mut self, target: &Target) -> Result<String, StoreError> {
        let Target::File(path) = target else { return Err(StoreError::OutOfReach) };
        match self.cells.get(path).map(|cell| &cell.ways) {
            Some(Ways::Action) => Err(StoreError::Kernel(EACCES)),
            _ => self.get(path).ok_or(StoreError::Absent),
        }
    }

    fn write(&mut self, target: &Target, value: &str) -> Result<(), StoreError> {
        let Target::File(path) = target else { return Err(StoreError::OutOfReach) };
        self.writes += 1;
        if self.get(path).is_none() {
            return Err(StoreError::Absent);
        }
        self.put(path, value).map_err(StoreError::Kernel)
    }
}
