//! Huge pages that lie together.
//!
//! A kernel needs one piece of memory that holds all of it. The first huge pages that a host's kernel
//! finds are left-overs between what is in use, and on a host whose pages came and went in any order
//! neighbours are far apart on its free lists. Whoever holds many pages holds neighbours too: so a
//! partition whose pages are too scattered takes more for a moment, keeps those in the longest pieces,
//! and gives the others back.

use super::hugetlb::{
    HugetlbError, HugetlbFile, NodeShare, PageSize, Run, allocate, file_error, punch, runs,
};
use super::pool::{Pool, PoolsLock};
use crate::units::NodeId;

/// The round that asks for a gigantic page: what all of this looks for, where the host's kernel can make
/// one, for it moves what is in the way. A first look at what is free costs less.
const GIGANTIC: u32 = 1;

/// A page: its physical address, and its offset in the file.
type Page = (u64, u64);

impl HugetlbFile {
    /// Exchanges pages until their pieces suit, as far as the host has such; each round takes more
    /// than the one before. A host without gets no error here: the pages are then as good as can
    /// be had.
    ///
    /// # Errors
    ///
    /// [`HugetlbError`]. The pools are as they were then.
    pub fn gather(
        &mut self,
        page_size: PageSize,
        shares: &[NodeShare],
        suits: impl Fn(&[Run]) -> bool,
    ) -> Result<(), HugetlbError> {
        let _alone = self.alone()?;
        let lock = PoolsLock::take()?;
        let mut gathering = Gathering::new(self, page_size, shares)?;
        let gathered = gathering.until(&lock, suits);
        // What was added goes again, whatever came of it.
        let kept = gathering.keep();
        let restored = gathering.restore(&lock);
        gathered?;
        self.runs = kept?;
        restored
    }
}

/// All that a file has while it gathers.
struct Gathering<'a> {
    file: &'a HugetlbFile,
    page_size: PageSize,
    hoards: Vec<Hoard>,
    /// Behind all pages of the file.
    end: u64,
}

/// What there is to choose from on one node.
struct Hoard {
    node: NodeId,
    /// Pages that the partition is to have.
    wanted: u64,
    pages: Vec<Page>,
    /// Pages that the host's pool was given for this.
    added: u64,
}

impl<'a> Gathering<'a> {
    fn new(
        file: &'a HugetlbFile,
        page_size: PageSize,
        shares: &[NodeShare],
    ) -> Result<Self, HugetlbError> {
        let page = page_size.bytes().0;
        let mut end = 0;
        let mut hoards = Vec::new();
        for share in shares {
            let pages = file.pages(page, end, end + share.size.0)?;
            hoards.push(Hoard { node: share.node, wanted: share.size.0 / page, pages, added: 0 });
            end += share.size.0;
        }
        Ok(Self { file, page_size, hoards, end })
    }

    /// Takes more and more until the best of it suits, or there is no more.
    fn until(
        &mut self,
        lock: &PoolsLock,
        suits: impl Fn(&[Run]) -> bool,
    ) -> Result<(), HugetlbError> {
        for round in 0_u32.. {
            let mut more = false;
            for number in 0..self.hoards.len() {
                more |= self.take_more(number, round, lock)? > 0;
                if suits(&self.best()) {
                    return Ok(());
                }
            }
            if !more && round != GIGANTIC {
                break;
            }
        }
        Ok(())
    }

    /// Adds pages to a node's pool and takes them; tells how many.
    fn take_more(
        &mut self,
        number: usize,
        round: u32,
        lock: &PoolsLock,
    ) -> Result<u64, HugetlbError> {
        let page = self.page_size.bytes().0;
        let Some(hoard) = self.hoards.get_mut(number) else { return Ok(0) };
        let pool = Pool { node: hoard.node, size: self.page_size };
        let added = match round {
            GIGANTIC => pool.add_demoted(lock),
            _ => pool.add_some(lock, hoard.wanted << round.min(20)),
        };
        hoard.added += added;
        let mut taken = 0;
        while taken < added
            && allocate(&self.file.file, self.end + taken * page, page, hoard.node).is_ok()
        {
            taken += 1;
        }
        if taken > 0 {
            let end = self.end + taken * page;
            hoard.pages.append(&mut self.file.pages(page, self.end, end)?);
            hoard.pages.sort_unstable();
            self.end = end;
        }
        Ok(added)
    }

    /// The pages in the longest pieces, as many as each node is to give.
    fn best(&self) -> Vec<Run> {
        let page = self.page_size.bytes().0;
        let chosen =
            self.hoards.iter().flat_map(|hoard| choose(&hoard.pages, page, hoard.wanted).0);
        let mut chosen: Vec<Page> = chosen.collect();
        chosen.sort_unstable();
        runs(chosen, page)
    }

    /// Gives back all pages but the best.
    fn keep(&self) -> Result<Vec<Run>, HugetlbError> {
        let page = self.page_size.bytes().0;
        for hoard in &self.hoards {
            for (_, offset) in choose(&hoard.pages, page, hoard.wanted).1 {
                punch(&self.file.file, offset, page)
                    .map_err(file_error(&self.file.path, "trimmed"))?;
            }
        }
        Ok(self.best())
    }

    /// Makes the pools as large as they were.
    fn restore(&self, lock: &PoolsLock) -> Result<(), HugetlbError> {
        let mut result = Ok(());
        for hoard in &self.hoards {
            let pool = Pool { node: hoard.node, size: self.page_size };
            result = result.and(pool.remove(lock, hoard.added));
        }
        Ok(result?)
    }
}

/// Of pages (ascending), `wanted` of those in the longest physical pieces, and the others.
fn choose(pages: &[Page], page: u64, wanted: u64) -> (Vec<Page>, Vec<Page>) {
    let mut pieces: Vec<&[Page]> = pages.chunk_by(|one, next| one.0 + page == next.0).collect();
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
    let mut kept = pieces.concat();
    let left = kept.split_off((wanted as usize).min(kept.len()));
    (kept, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pieces_are_kept() {
        let page = 2 << 20;
        let at = |numbers: &[u64]| -> Vec<Page> {
            numbers.iter().enumerate().map(|(n, at)| (at * page, n as u64 * page)).collect()
        };
        let (mut kept, left) = choose(&at(&[1, 3, 5, 6, 7, 8, 12, 13]), page, 5);
        kept.sort_unstable();
        let kept: Vec<_> = runs(kept, page)
            .iter()
            .map(|run| (run.place().start.0 / page, run.place().size.0 / page))
            .collect();
        assert_eq!(kept, [(5, 4), (12, 1)]);
        assert_eq!(left.len(), 3);
        let (all, none) = choose(&at(&[1, 3]), page, 2);
        assert_eq!((all.len(), none.len()), (2, 0));
    }
}
