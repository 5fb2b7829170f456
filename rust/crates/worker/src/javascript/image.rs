//! Memory of a runtime that can be put back to what it was: an *image* is taken once the runtime is ready, and after a run the pages
//! that differ are copied back, and what was added is freed. To make a runtime anew takes several times as long.
//!
//! Until the image is taken, memory comes out of one region and goes nowhere when it is freed. Afterwards it comes from the C library,
//! and each block is in a list.

use std::cell::UnsafeCell;
use std::ptr;
use std::rc::Rc;

use rquickjs::allocator::Allocator;

/// Longest image. A runtime takes about a third; pages that are not touched cost nothing.
const REGION: usize = 2 * 1024 * 1024;
const PAGE: usize = 4096;
/// Of every block.
const ALIGNMENT: usize = 16;

/// In front of each block. Those from the C library are in a ring.
#[repr(C, align(16))]
struct Link {
    /// In a block of the region its length, as an address.
    before: *mut Link,
    /// Null in a block of the region.
    after: *mut Link,
}

/// Pages of a mapping of their own.
struct Pages {
    start: *mut u8,
    length: usize,
}

impl Pages {
    /// Zeroes. `None` when memory is short.
    fn new(length: usize) -> Option<Pages> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping that overlaps nothing.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, access, kind, -1, 0) };
        (start != libc::MAP_FAILED).then_some(Pages { start: start.cast(), length })
    }

    fn inherit(&self, inherited: bool) -> bool {
        let advice = if inherited { libc::MADV_DOFORK } else { libc::MADV_DONTFORK };
        // SAFETY: a mapping of our own; it stays as it is in this process.
        unsafe { libc::madvise(self.start.cast(), self.length, advice) == 0 }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: a mapping of our own, to which nothing points any more.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}

struct Memory {
    /// `REGION` bytes.
    region: Pages,
    /// Bytes of it that are in use.
    used: usize,
    /// What they were, once the image is taken.
    image: Option<Pages>,
    /// The fixed member of the ring.
    ring: Box<Link>,
}

impl Memory {
    fn new() -> Option<Memory> {
        let region = Pages::new(REGION)?;
        let mut ring = Box::new(Link { before: ptr::null_mut(), after: ptr::null_mut() });
        let itself = &raw mut *ring;
        (ring.before, ring.after) = (itself, itself);
        Some(Memory { region, used: 0, image: None, ring })
    }

    fn contains(&self, block: *mut u8) -> bool {
        (block.addr()).wrapping_sub(self.region.start.addr()) < REGION
    }

    /// A block of the region.
    fn carve(&mut self, size: usize) -> *mut u8 {
        let size = match size.checked_next_multiple_of(ALIGNMENT) {
            Some(size) if size < REGION - self.used - size_of::<Link>() => size,
            _ => return ptr::null_mut(),
        };
        // SAFETY: what is carved lies within the region, behind everything carved before.
        unsafe {
            let head = self.region.start.add(self.used).cast::<Link>();
            head.write(Link { before: ptr::without_provenance_mut(size), after: ptr::null_mut() });
            self.used += size_of::<Link>() + size;
            head.add(1).cast()
        }
    }

    /// Puts a block into the ring; null stays null.
    fn link(&mut self, head: *mut Link) -> *mut u8 {
        if head.is_null() {
            return ptr::null_mut();
        }
        // SAFETY: the block has room for the head, and the members of the ring are alive.
        unsafe {
            let first = &raw mut *self.ring;
            let after = (*first).after;
            head.write(Link { before: first, after });
            (*after).before = head;
            (*first).after = head;
            head.add(1).cast()
        }
    }

    /// # Safety
    /// The block is one of the ring.
    unsafe fn unlink(block: *mut u8) -> *mut Link {
        // SAFETY: the head is in front of the block, and its neighbours are alive.
        unsafe {
            let head = block.cast::<Link>().sub(1);
            let Link { before, after } = head.read();
            (*before).after = after;
            (*after).before = before;
            head
        }
    }

    /// # Safety
    /// Nothing points to blocks of the ring but what is in the region or in the ring itself.
    unsafe fn free_added(&mut self) {
        let itself = &raw mut *self.ring;
        let mut next = self.ring.after;
        while next != itself {
            // SAFETY: a live member of the ring, freed once.
            unsafe {
                let after = (*next).after;
                libc::free(next.cast());
                next = after;
            }
        }
        (self.ring.before, self.ring.after) = (itself, itself);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the runtime is gone, and with it whatever pointed here.
        unsafe { self.free_added() };
    }
}

/// The allocator of one runtime, and the handle to its image. Of one thread.
#[derive(Clone)]
pub(super) struct Image(Rc<UnsafeCell<Memory>>);

impl Image {
    /// `None` when memory is short.
    pub(super) fn new() -> Option<Image> {
        Some(Image(Rc::new(UnsafeCell::new(Memory::new()?))))
    }

    fn memory(&mut self) -> &mut Memory {
        // SAFETY: of one thread, and no method calls back into the engine or another one while it holds this.
        unsafe { &mut *self.0.get() }
    }

    /// Remembers the memory of the runtime as it is now. `None` when memory is short.
    pub(super) fn take(&mut self) -> Option<()> {
        let memory = self.memory();
        let image = Pages::new(memory.used)?;
        // SAFETY: so many bytes of the region are in use, and the new pages are as long.
        unsafe { ptr::copy_nonoverlapping(memory.region.start, image.start, memory.used) };
        memory.image = Some(image);
        Some(())
    }

    /// Says whether processes that are forked from now on have the runtime; false when the kernel has no memory for that.
    pub(super) fn inherit(&mut self, inherited: bool) -> bool {
        let memory = self.memory();
        memory.region.inherit(inherited) && memory.image.as_ref().is_none_or(|image| image.inherit(inherited))
    }

    /// Makes the memory of the runtime what it was when the image was taken.
    ///
    /// # Safety
    /// The engine is not running, nothing outside refers to what was made since, and nothing of what has a destructor outside the
    /// engine's memory was destroyed since that was in it when the image was taken.
    pub(super) unsafe fn restore(&mut self) {
        let memory = self.memory();
        let Some(image) = &memory.image else { return };
        // SAFETY: so many bytes were written when the image was taken.
        let image = unsafe { std::slice::from_raw_parts(image.start, image.length) };
        for (number, kept) in image.chunks(PAGE).enumerate() {
            // SAFETY: the image is as long as what is in use of the region, which nobody else looks at meanwhile.
            let now =
                unsafe { std::slice::from_raw_parts_mut(memory.region.start.add(number * PAGE), kept.len()) };
            // Pages that are equal may be shared with the process that this one was forked from, and stay so.
            if now != kept {
                now.copy_from_slice(kept);
            }
        }
        // SAFETY: as the caller says.
        unsafe { memory.free_added() };
    }
}

// SAFETY: blocks are as long as asked for and aligned to 16 bytes; those of the C library have a head of 16 bytes in front, which
// keeps that.
unsafe impl Allocator for Image {
    fn alloc(&mut self, size: usize) -> *mut u8 {
        let memory = self.memory();
        if memory.image.is_none() {
            return memory.carve(size);
        }
        let Some(whole) = size.checked_add(size_of::<Link>()) else { return ptr::null_mut() };
        // SAFETY: a new block.
        let head = unsafe { libc::malloc(whole) };
        memory.link(head.cast())
    }

    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        let memory = self.memory();
        let Some(size) = count.checked_mul(size) else { return ptr::null_mut() };
        if memory.image.is_none() {
            // All of the region is zero at first, and nothing of it is given twice.
            return memory.carve(size);
        }
        let Some(whole) = size.checked_add(size_of::<Link>()) else { return ptr::null_mut() };
        // SAFETY: a new block.
        let head = unsafe { libc::calloc(1, whole) };
        memory.link(head.cast())
    }

    unsafe fn dealloc(&mut self, block: *mut u8) {
        // What is in the image comes back with it.
        if !block.is_null() && !self.memory().contains(block) {
            // SAFETY: it is in the ring, and freed once.
            unsafe { libc::free(Memory::unlink(block).cast()) };
        }
    }

    unsafe fn realloc(&mut self, block: *mut u8, new_size: usize) -> *mut u8 {
        if block.is_null() {
            return self.alloc(new_size);
        }
        if self.memory().contains(block) {
            // SAFETY: it has a head, and both blocks are as long as is copied.
            unsafe {
                let size = Self::usable_size(block);
                if new_size <= size {
                    return block;
                }
                let moved = self.alloc(new_size);
                if !moved.is_null() {
                    ptr::copy_nonoverlapping(block, moved, size);
                }
                return moved;
            }
        }
        let Some(whole) = new_size.checked_add(size_of::<Link>()) else { return ptr::null_mut() };
        // SAFETY: it is in the ring; when it cannot be moved, it goes back there as it was.
        unsafe {
            let head = Memory::unlink(block);
            let moved = libc::realloc(head.cast(), whole);
            if moved.is_null() {
                self.memory().link(head);
                return ptr::null_mut();
            }
            self.memory().link(moved.cast())
        }
    }

    unsafe fn usable_size(block: *mut u8) -> usize {
        // SAFETY: the head is in front of the block, and a block of the C library starts with it.
        unsafe {
            let head = block.cast::<Link>().sub(1);
            let Link { before, after } = head.read();
            if after.is_null() {
                return before.addr();
            }
            libc::malloc_usable_size(head.cast()) - size_of::<Link>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_back_and_what_was_added_goes() {
        let mut image = Image::new().unwrap();
        let kept = image.calloc(3, 5_000);
        // SAFETY: so many bytes were asked for.
        let bytes = |block: *mut u8| unsafe { std::slice::from_raw_parts_mut(block, 15_000) };
        assert!(bytes(kept).iter().all(|byte| *byte == 0));
        bytes(kept)[14_999] = 7;
        image.take().unwrap();
        for _ in 0..3 {
            assert_eq!(bytes(kept)[14_999], 7);
            bytes(kept).fill(9);
            let added = image.alloc(100);
            // SAFETY: blocks of this allocator, none used after it was freed.
            unsafe {
                let grown = image.realloc(added, 100_000);
                let moved = image.realloc(kept, 20_000);
                assert!(bytes(moved).iter().all(|byte| *byte == 9));
                image.dealloc(kept);
                image.dealloc(grown);
                assert_eq!(image.alloc(40).addr() % ALIGNMENT, 0);
                image.restore();
            }
            assert!(bytes(kept)[..14_999].iter().all(|byte| *byte == 0));
            assert!(ptr::eq(image.memory().ring.after, &raw const *image.memory().ring));
        }
    }

    #[test]
    fn a_region_that_is_full_is_no_memory() {
        let mut image = Image::new().unwrap();
        assert!(image.alloc(REGION).is_null());
        assert!(image.alloc(usize::MAX).is_null() && image.calloc(usize::MAX, 2).is_null());
        assert!(!image.alloc(REGION / 2).is_null());
        assert!(image.alloc(REGION / 2).is_null());
    }
}
