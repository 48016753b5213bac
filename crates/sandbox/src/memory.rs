//! The memory an interpreter lives in. All of it lies in one stretch of addresses, the allocator's
//! own books included, so a copy of its used part is a copy of the whole interpreter, and writing
//! that copy back puts it into the state it had then: a fresh realm at the price of a copy.
//!
//! Blocks come from the top of the used part, or from a list of freed ones of the same size class;
//! they are never merged, because no memory outlives its run. Nothing here may keep state outside
//! the stretch.
#![expect(
    unsafe_code,
    reason = "an allocator hands out raw memory; what it relies on is said at each place"
)]

use std::io;
use std::ptr::{self, NonNull};

use rquickjs::allocator::Allocator;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};

use dunlin_types::limits::TRANSFORM_HEAP_BYTES_MAX;

/// The stretch. The interpreter counts its own memory against its limit; what freed blocks of
/// other size classes hold comes on top, and address space costs nothing until it is touched.
const STRETCH_BYTES: usize = 6 * TRANSFORM_HEAP_BYTES_MAX;
const _: () = assert!(STRETCH_BYTES < u32::MAX as usize);
/// Before each block: its size class. Blocks begin that far before a multiple of [`ALIGN_BYTES`].
const HEADER_BYTES: usize = 8;
const ALIGN_BYTES: usize = 16;
/// Up to here a size class is a multiple of [`ALIGN_BYTES`]; above, an eighth of a power of two.
const FINE_BYTES: usize = 1_024;
const FINE_CLASSES: usize = FINE_BYTES / ALIGN_BYTES;
const CLASSES: usize = class_of(STRETCH_BYTES) + 1;
/// A larger part than this is given back to the system, which zeroes it when it is touched again.
const WIPED_BYTES_MAX: usize = 1024 * 1024;
const PAGE_BYTES: usize = 4_096;

/// What the allocator knows, at the start of the stretch.
#[repr(C)]
struct Books {
    /// Where the used part ends, in bytes from the start.
    top: u32,
    /// The first free block of each size class, or zero; each one names the next in its first
    /// four bytes.
    free: [u32; CLASSES],
}

/// A handle to one stretch; copies are handles to the same one. It stays until the process ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    base: NonNull<u8>,
}

/// The used part of a stretch as it was once.
#[derive(Debug)]
pub(crate) struct Snapshot {
    bytes: Box<[u8]>,
}

impl Snapshot {
    /// Bytes it takes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// The class of blocks that have room for that many bytes, header included.
const fn class_of(bytes: usize) -> usize {
    if bytes <= FINE_BYTES {
        return bytes.div_ceil(ALIGN_BYTES);
    }
    let power = (bytes - 1).ilog2() as usize;
    let eighth = 1 << (power - 3);
    let over = (bytes - (1 << power)).div_ceil(eighth);
    FINE_CLASSES + (power - FINE_BYTES.ilog2() as usize) * 8 + over
}

/// Bytes of a block of that class, header included.
const fn bytes_of(class: usize) -> usize {
    if class <= FINE_CLASSES {
        return class * ALIGN_BYTES;
    }
    let above = class - FINE_CLASSES - 1;
    let power = FINE_BYTES.ilog2() as usize + above / 8;
    (1 << power) + (above % 8 + 1) * (1 << (power - 3))
}

impl Memory {
    /// Sets a stretch aside.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the system's choice disturbs nothing.
        let base = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                STRETCH_BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        };
        let base = NonNull::new(base.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        let memory = Self { base };
        let first = size_of::<Books>().next_multiple_of(ALIGN_BYTES) + ALIGN_BYTES - HEADER_BYTES;
        memory.books().top = first as u32;
        Ok(memory)
    }

    #[expect(
        clippy::mut_from_ref,
        reason = "the books belong to the stretch, and each use ends before the next begins"
    )]
    fn books(&self) -> &mut Books {
        // SAFETY: the mapping is larger than the books, aligned to a page, and was zeroed, which
        // is a valid `Books`. Only one thread has a stretch, and no caller holds two of these.
        unsafe { self.base.cast::<Books>().as_mut() }
    }

    /// The address so many bytes into the stretch.
    fn at(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= STRETCH_BYTES);
        // SAFETY: every offset here is one of the stretch.
        unsafe { self.base.as_ptr().add(offset) }
    }

    fn offset_of(&self, block: *mut u8) -> usize {
        block.addr() - self.base.addr().get()
    }

    /// A copy of the used part.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let used = self.books().top as usize;
        // SAFETY: all of the used part is mapped and was zeroed or written; nobody writes now.
        let bytes = unsafe { std::slice::from_raw_parts(self.base.as_ptr(), used) };
        Snapshot {
            bytes: bytes.into(),
        }
    }

    /// Puts everything back to how it was when `then` was taken of this stretch, and wipes what
    /// was used beyond it since.
    ///
    /// # Safety
    /// Nothing may be kept that was allocated since, and nothing outside may have been freed that
    /// something within refers to.
    pub(crate) unsafe fn restore(&self, then: &Snapshot) {
        let used = self.books().top as usize;
        let kept = then.bytes.len();
        // SAFETY: the copy was taken from this stretch, so it fits, and it lies elsewhere.
        unsafe { ptr::copy_nonoverlapping(then.bytes.as_ptr(), self.base.as_ptr(), kept) };
        self.wipe(kept, used);
    }

    /// Zeroes what lies between, as it was when it was mapped.
    fn wipe(&self, from: usize, to: usize) {
        let page = from.next_multiple_of(PAGE_BYTES);
        let by_hand = match to.saturating_sub(from) > WIPED_BYTES_MAX {
            true => page.min(to),
            false => to,
        };
        // SAFETY: the range is of the used part, and above what was just restored.
        unsafe { ptr::write_bytes(self.at(from), 0, by_hand.saturating_sub(from)) };
        if by_hand < to {
            let pages = (to - page)
                .next_multiple_of(PAGE_BYTES)
                .min(STRETCH_BYTES - page);
            // SAFETY: whole pages of the stretch, above what is in use; they read as zero after.
            let given = unsafe { madvise(self.at(page).cast(), pages, Advice::LinuxDontNeed) };
            if given.is_err() {
                // SAFETY: as above.
                unsafe { ptr::write_bytes(self.at(page), 0, to - page) };
            }
        }
    }

    /// A block for that many bytes and whether it is known to be zero, or null.
    fn take(&self, size: usize) -> (*mut u8, bool) {
        if size > STRETCH_BYTES - HEADER_BYTES {
            return (ptr::null_mut(), false);
        }
        let class = class_of(size + HEADER_BYTES);
        let books = self.books();
        let free = books.free[class] as usize;
        if free != 0 {
            let block = self.at(free);
            // SAFETY: a free block begins with the offset of the next one.
            books.free[class] = unsafe { block.cast::<u32>().read() };
            return (block, false);
        }
        let start = books.top as usize;
        let end = start + bytes_of(class);
        if end > STRETCH_BYTES {
            return (ptr::null_mut(), false);
        }
        books.top = end as u32;
        // SAFETY: the header lies within the block that was just cut off.
        unsafe { self.at(start).cast::<u64>().write(class as u64) };
        (self.at(start + HEADER_BYTES), true)
    }

    /// Makes the last block of the used part larger where it is.
    fn stretch(&self, block: *mut u8, class: usize, size: usize) -> bool {
        let books = self.books();
        let start = self.offset_of(block) - HEADER_BYTES;
        if start + bytes_of(class) != books.top as usize || size > STRETCH_BYTES - HEADER_BYTES {
            return false;
        }
        let class = class_of(size + HEADER_BYTES);
        let end = start + bytes_of(class);
        if end > STRETCH_BYTES {
            return false;
        }
        books.top = end as u32;
        // SAFETY: the header of a block that is in use.
        unsafe { self.at(start).cast::<u64>().write(class as u64) };
        true
    }
}

/// The size class of a block that is in use.
///
/// # Safety
/// The block must be one of a stretch.
unsafe fn class_at(block: *mut u8) -> usize {
    // SAFETY: the header lies right before the block.
    unsafe { block.sub(HEADER_BYTES).cast::<u64>().read() as usize }
}

// SAFETY: blocks do not overlap, are aligned to sixteen bytes, and have the room their class says.
unsafe impl Allocator for Memory {
    fn alloc(&mut self, size: usize) -> *mut u8 {
        self.take(size).0
    }

    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        let Some(size) = count.checked_mul(size) else {
            return ptr::null_mut();
        };
        let (block, zeroed) = self.take(size);
        if !block.is_null() && !zeroed {
            // SAFETY: the block has at least that many bytes.
            unsafe { ptr::write_bytes(block, 0, size) };
        }
        block
    }

    unsafe fn dealloc(&mut self, block: *mut u8) {
        // SAFETY: the caller hands over a block of this stretch.
        let class = unsafe { class_at(block) };
        let books = self.books();
        // SAFETY: the smallest block has room for an offset.
        unsafe { block.cast::<u32>().write(books.free[class]) };
        books.free[class] = self.offset_of(block) as u32;
    }

    unsafe fn realloc(&mut self, block: *mut u8, size: usize) -> *mut u8 {
        if block.is_null() {
            return self.alloc(size);
        }
        // SAFETY: the caller hands over a block of this stretch.
        let class = unsafe { class_at(block) };
        let room = bytes_of(class) - HEADER_BYTES;
        if size <= room || self.stretch(block, class, size) {
            return block;
        }
        let larger = self.alloc(size);
        if !larger.is_null() {
            // SAFETY: two blocks in use, each with at least the smaller one's room.
            unsafe {
                ptr::copy_nonoverlapping(block, larger, room);
                self.dealloc(block);
            }
        }
        larger
    }

    unsafe fn usable_size(block: *mut u8) -> usize {
        // SAFETY: the caller hands over a block of a stretch.
        bytes_of(unsafe { class_at(block) }) - HEADER_BYTES
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_class_has_room_for_what_it_is_chosen_for_and_wastes_an_eighth_at_most() {
        for bytes in (9..70_000).chain((0..27).map(|n| (1 << n) + 9)) {
            let room = bytes_of(class_of(bytes));
            assert!(room >= bytes, "{bytes}");
            assert!(room.is_multiple_of(ALIGN_BYTES), "{bytes}");
            assert!(
                room <= bytes + ALIGN_BYTES.max(bytes / 8),
                "{bytes}: {room}"
            );
        }
    }

    #[derive(Clone, Debug)]
    enum Act {
        Take(usize),
        TakeZeroed(usize),
        Resize(usize, usize),
        Free(usize),
        Snapshot,
        Restore(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        let size = prop_oneof![4 => 0..200_usize, 2 => 0..9_000_usize, 1 => 0..300_000_usize];
        prop_oneof![
            5 => size.clone().prop_map(Act::Take),
            1 => size.clone().prop_map(Act::TakeZeroed),
            3 => (any::<usize>(), size).prop_map(|(which, size)| Act::Resize(which, size)),
            3 => any::<usize>().prop_map(Act::Free),
            1 => Just(Act::Snapshot),
            1 => any::<usize>().prop_map(Act::Restore),
        ]
    }

    /// What a user of the memory believes about one block: where it is, and what it wrote.
    #[derive(Clone, Copy, Debug)]
    struct Held {
        block: *mut u8,
        size: usize,
        mark: u8,
    }

    impl Held {
        fn fill(&self) {
            // SAFETY: a block in use, of at least that size.
            unsafe { ptr::write_bytes(self.block, self.mark, self.size) };
        }

        fn is_whole(&self, size: usize) -> bool {
            // SAFETY: a block in use, of at least that size.
            let bytes = unsafe { std::slice::from_raw_parts(self.block, self.size.min(size)) };
            bytes.iter().all(|byte| *byte == self.mark)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn blocks_keep_what_was_written_and_a_restore_brings_back_what_was(
            acts in proptest::collection::vec(act(), 1..120),
        ) {
            let mut memory = Memory::new().unwrap();
            let mut held: Vec<Held> = Vec::new();
            let mut snapshots: Vec<(Snapshot, Vec<Held>)> = Vec::new();
            for (mark, act) in acts.into_iter().enumerate() {
                let mark = (mark % 255) as u8 + 1;
                match act {
                    Act::Take(size) => {
                        let one = Held { block: memory.alloc(size), size, mark };
                        prop_assert!(one.block.addr().is_multiple_of(ALIGN_BYTES));
                        one.fill();
                        held.push(one);
                    }
                    Act::TakeZeroed(size) => {
                        let one = Held { block: memory.calloc(1, size), size, mark: 0 };
                        prop_assert!(one.is_whole(size), "not zero");
                        held.push(one);
                    }
                    Act::Resize(which, size) if !held.is_empty() => {
                        let which = which % held.len();
                        let one = &mut held[which];
                        // SAFETY: a block in use.
                        one.block = unsafe { memory.realloc(one.block, size) };
                        prop_assert!(one.is_whole(size), "lost on the way");
                        one.size = size;
                        one.fill();
                    }
                    Act::Free(which) if !held.is_empty() => {
                        let one = held.swap_remove(which % held.len());
                        // SAFETY: a block in use, which is forgotten here.
                        unsafe { memory.dealloc(one.block) };
                    }
                    Act::Snapshot => snapshots.push((memory.snapshot(), held.clone())),
                    Act::Restore(which) if !snapshots.is_empty() => {
                        let (then, believed) = &snapshots[which % snapshots.len()];
                        // SAFETY: what was allocated since is forgotten here.
                        unsafe { memory.restore(then) };
                        held.clone_from(believed);
                        prop_assert_eq!(&memory.snapshot().bytes, &then.bytes);
                        let above = memory.at(then.size());
                        // SAFETY: within the stretch.
                        let above = unsafe { std::slice::from_raw_parts(above, 4 * PAGE_BYTES) };
                        prop_assert!(above.iter().all(|byte| *byte == 0), "not wiped");
                    }
                    Act::Resize(..) | Act::Free(_) | Act::Restore(_) => {}
                }
                for one in &held {
                    prop_assert!(one.is_whole(one.size), "overwritten");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_leaves_the_rest_alone() {
        let mut memory = Memory::new().unwrap();
        assert!(memory.alloc(usize::MAX).is_null());
        assert!(memory.alloc(STRETCH_BYTES).is_null());
        assert!(memory.calloc(usize::MAX, 2).is_null());
        let mut blocks = 0;
        while !memory.alloc(1_000_000).is_null() {
            blocks += 1;
        }
        assert!(blocks > STRETCH_BYTES / 1_200_000, "{blocks}");
        assert!(!memory.alloc(16).is_null());
    }
}
