//! The program's allocator in the static build, and that the database library takes its memory from it too. That of musl, which it would take it from in
//! the static build, hands a group of blocks back to the kernel as soon as all are free: at each commit of somebody else the cached
//! pages are freed, and most of the time went into getting and clearing them again.
#![allow(unsafe_code)]

#[cfg(target_env = "musl")]
use std::alloc::GlobalAlloc;
use std::alloc::{Layout, alloc, dealloc, realloc};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Once;
#[cfg(target_env = "musl")]
use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(target_env = "musl")]
use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(target_env = "musl")]
use dlmalloc::Dlmalloc;

use rusqlite::Connection;
use rusqlite::ffi::{
    SQLITE_CONFIG_LOOKASIDE, SQLITE_CONFIG_MALLOC, SQLITE_CONFIG_MEMSTATUS, SQLITE_CONFIG_PAGECACHE,
    SQLITE_DBCONFIG_LOOKASIDE, sqlite3_config, sqlite3_db_config, sqlite3_mem_methods,
};

/// The allocator of the static build. musl's own is slow where much is allocated and freed; dlmalloc is small too. Its lock is
/// taken and let go in place: that of the C library takes longer than the allocation, ten thousands of times in a command
/// that looks at thousands of tasks.
#[cfg(target_env = "musl")]
pub struct Allocator(Mutex<Dlmalloc<Pages>>);

/// Where its memory comes from: the kernel, in small pieces as long as there is little of it, as in a worker; then in pieces
/// of huge pages. A command that looks at ten thousand tasks would else be interrupted for each of some ten thousand pages.
#[cfg(target_env = "musl")]
struct Pages(AtomicUsize);

/// The size of a huge page.
#[cfg(target_env = "musl")]
const HUGE: usize = 2 * 1024 * 1024;

/// So much is taken in small pieces: more than a worker ever has.
#[cfg(target_env = "musl")]
const LITTLE: usize = HUGE;

// SAFETY: each region is a fresh private mapping of at least the size that is asked for, and what is given back was one.
#[cfg(target_env = "musl")]
unsafe impl dlmalloc::Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let much = self.0.load(Ordering::Relaxed) >= LITTLE;
        let size = if much { size.next_multiple_of(2 * HUGE) } else { size };
        // SAFETY: a new mapping in a place of the kernel's choice.
        let start = unsafe {
            let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0)
        };
        if start == libc::MAP_FAILED {
            return (ptr::null_mut(), 0, 0);
        }
        if much {
            // SAFETY: the mapping just made. Without huge pages it is as good.
            unsafe { libc::madvise(start, size, libc::MADV_HUGEPAGE) };
        }
        self.0.fetch_add(size, Ordering::Relaxed);
        (start.cast(), size, 0)
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, start: *mut u8, old: usize, new: usize) -> bool {
        // SAFETY: the rest of a region, of which nothing is in use.
        self.free(unsafe { start.add(new) }, old - new)
    }

    fn free(&self, start: *mut u8, size: usize) -> bool {
        // SAFETY: a region, or the rest of one, of which nothing is in use.
        let gone = unsafe { libc::munmap(start.cast(), size) } == 0;
        self.0.fetch_sub(if gone { size } else { 0 }, Ordering::Relaxed);
        gone
    }

    fn can_release_part(&self, _: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        4096
    }
}

#[cfg(target_env = "musl")]
impl Allocator {
    /// One that has no memory yet.
    #[expect(clippy::new_without_default, reason = "it is for a static")]
    pub const fn new() -> Self {
        Self(Mutex::new(Dlmalloc::new_with_allocator(Pages(AtomicUsize::new(0)))))
    }

    fn lock(&self) -> MutexGuard<'_, Dlmalloc<Pages>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: dlmalloc hands out blocks of the size and alignment that it is asked for, and the lock lets one thread at a time
// ask it. The callers promise about blocks and layouts what dlmalloc wants to be promised.
#[cfg(target_env = "musl")]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: said above.
        unsafe { self.lock().malloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: said above.
        unsafe { self.lock().free(block, layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: said above.
        unsafe { self.lock().calloc(layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: said above.
        unsafe { self.lock().realloc(block, layout.size(), layout.align(), size) }
    }
}

/// What `SQLite` wants each block to be aligned to; the length of a block stands in as many bytes before it.
const ALIGN: usize = size_of::<usize>();

/// Has `SQLite` use it; without effect where that is in use already.
pub(super) fn share() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let methods = sqlite3_mem_methods {
            xMalloc: Some(allocate),
            xFree: Some(free),
            xRealloc: Some(reallocate),
            xSize: Some(size),
            xRoundup: Some(round_up),
            xInit: Some(begin),
            xShutdown: Some(end),
            pAppData: ptr::null_mut(),
        };
        let none: c_int = 0;
        // SAFETY: the option takes one pointer to such a table, which SQLite copies. What the functions promise is said
        // at each. SQLite refuses the call where it has been initialized, and then goes on with what it has. Nobody asks
        // it how much memory it uses, the account of which takes a lock for each block; that option takes a number.
        // What it would allocate in advance, 20 pages for each cache and 48 KiB for short-lived things, a command pays
        // for page by page and hardly uses: these options take a null pointer and two numbers, and two numbers.
        unsafe {
            sqlite3_config(SQLITE_CONFIG_MALLOC, &raw const methods);
            sqlite3_config(SQLITE_CONFIG_MEMSTATUS, none);
            sqlite3_config(SQLITE_CONFIG_PAGECACHE, ptr::null_mut::<c_void>(), none, none);
            sqlite3_config(SQLITE_CONFIG_LOOKASIDE, none, none);
        }
    });
}

/// Gives a connection small blocks of its own, 48 KiB of them, which take no lock: for one that writes again and again.
pub(super) fn keep_blocks(connection: &Connection) {
    const SIZE: c_int = 1200;
    const COUNT: c_int = 40;
    // SAFETY: the handle is that of an open connection; the option takes a pointer, null for memory of SQLite's own, and two
    // numbers. Where such blocks are in use already SQLite refuses it and goes on with those.
    unsafe {
        sqlite3_db_config(connection.handle(), SQLITE_DBCONFIG_LOOKASIDE, ptr::null_mut::<c_void>(), SIZE, COUNT);
    }
}

/// The layout of a block of so many bytes, with its length before it.
fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.checked_add(ALIGN)?, ALIGN).ok()
}

/// The block behind what was allocated; null stays null.
///
/// # Safety
/// `start` is null, or begins an allocation of [`layout`] of that many bytes.
unsafe fn block(start: *mut u8, bytes: usize) -> *mut c_void {
    if start.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the first bytes hold the length, and the block begins inside of the same allocation.
    unsafe {
        start.cast::<[u8; ALIGN]>().write(bytes.to_ne_bytes());
        start.add(ALIGN).cast()
    }
}

/// Where the allocation of a block begins, and how long the block is.
///
/// # Safety
/// `of` came from [`block`] and has not been freed.
unsafe fn allocation(of: *mut c_void) -> (*mut u8, usize) {
    // SAFETY: the length was written right before the block.
    unsafe {
        let start = of.cast::<u8>().sub(ALIGN);
        (start, usize::from_ne_bytes(start.cast::<[u8; ALIGN]>().read()))
    }
}

unsafe extern "C" fn allocate(bytes: c_int) -> *mut c_void {
    let bytes = usize::try_from(bytes).unwrap_or(0);
    // SAFETY: the layout is never of no size, since the length is part of it.
    layout(bytes).map_or(ptr::null_mut(), |layout| unsafe { block(alloc(layout), bytes) })
}

unsafe extern "C" fn free(of: *mut c_void) {
    // SAFETY: SQLite frees what it got from here, once, and never null.
    unsafe {
        let (start, bytes) = allocation(of);
        if let Some(layout) = layout(bytes) {
            dealloc(start, layout);
        }
    }
}

unsafe extern "C" fn reallocate(of: *mut c_void, bytes: c_int) -> *mut c_void {
    let bytes = usize::try_from(bytes).unwrap_or(0);
    // SAFETY: SQLite hands in what it got from here, and never null. Where there is no memory the old block stays.
    unsafe {
        let (start, old) = allocation(of);
        match (layout(old), layout(bytes)) {
            (Some(old), Some(new)) => block(realloc(start, old, new.size()), bytes),
            (_, _) => ptr::null_mut(),
        }
    }
}

unsafe extern "C" fn size(of: *mut c_void) -> c_int {
    // SAFETY: SQLite asks about what it got from here, and never about null.
    let (_, bytes) = unsafe { allocation(of) };
    c_int::try_from(bytes).unwrap_or(c_int::MAX)
}

unsafe extern "C" fn round_up(bytes: c_int) -> c_int {
    bytes.saturating_add(7) & !7
}

unsafe extern "C" fn begin(_: *mut c_void) -> c_int {
    rusqlite::ffi::SQLITE_OK
}

unsafe extern "C" fn end(_: *mut c_void) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_their_length_and_what_is_in_them() {
        // SAFETY: as SQLite would call them.
        unsafe {
            let first = allocate(5);
            assert_eq!(first.addr() % ALIGN, 0);
            assert_eq!(size(first), 5);
            ptr::copy_nonoverlapping(b"abcde".as_ptr(), first.cast(), 5);
            let longer = reallocate(first, 5000);
            assert_eq!(size(longer), 5000);
            assert_eq!(std::slice::from_raw_parts(longer.cast::<u8>(), 5), b"abcde");
            free(longer);
        }
        assert_eq!([round_up_of(1), round_up_of(8), round_up_of(9)], [8, 8, 16]);
    }

    fn round_up_of(bytes: c_int) -> c_int {
        // SAFETY: it takes any number.
        unsafe { round_up(bytes) }
    }
}
