//! This program's own code and constants in huge pages. Each of its many forks begins without any of the program's pages in its page
//! tables and lets go of them at its end; in pages of 2 MiB that is a few faults and a few entries in place of some hundred.
//!
//! What has to fit: segments that lie in the file as they lie in memory, modulo a huge page (the linker is told so by
//! `scripts/build-native`), and a file that is as long as whole huge pages (the library sees to it).

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::{ptr, slice};

/// Of x86-64.
const HUGE: usize = 2 << 20;
const PAGE: usize = 4096;

/// Puts what is never written to into huge pages, as far as the kernel has some; otherwise everything stays as it is. To be called
/// while there is one thread.
pub(crate) fn take() {
    let Ok(program) = File::open("/proc/self/exe") else { return };
    let Ok(length) = program.metadata().map(|metadata| metadata.len()) else { return };
    for segment in read_only_segments() {
        // What it cannot have, it does without.
        let _ = segment.widened(length).map(|wide| wide.replace(&program));
    }
}

/// A part of the file in memory.
struct Segment {
    /// Addresses.
    memory: Range<usize>,
    /// Where in the file it begins.
    offset: usize,
    executable: bool,
}

impl Segment {
    /// The same, from one border between huge pages to another; `None` where the file does not reach so far.
    fn widened(&self, length: u64) -> Option<Wide> {
        let memory = self.memory.start / HUGE * HUGE..self.memory.end.next_multiple_of(HUGE);
        let offset = self.offset.checked_sub(self.memory.start - memory.start)?;
        let end = u64::try_from(offset + memory.len()).ok()?;
        (offset % HUGE == 0 && end <= length).then_some(Wide {
            around: [memory.start..self.memory.start, self.memory.end..memory.end],
            whole: Self { memory, offset, executable: self.executable },
        })
    }
}

/// A segment with what lies before and after it in its huge pages.
struct Wide {
    whole: Segment,
    around: [Range<usize>; 2],
}

impl Wide {
    /// Maps the file in its place, in huge pages: first elsewhere, so that nothing has changed where that does not work.
    fn replace(&self, program: &File) -> io::Result<()> {
        let Segment { memory, offset, executable } = &self.whole;
        let ready = Mapping::aligned(memory.len())?;
        let protection = libc::PROT_READ | if *executable { libc::PROT_EXEC } else { 0 };
        let offset = libc::off_t::try_from(*offset).map_err(io::Error::other)?;
        // SAFETY: the place is `ready`'s, whose memory nothing refers to.
        check(unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
            libc::mmap(ready.start(), ready.length, protection, flags, program.as_raw_fd(), offset)
        })?;
        // SAFETY: changes how the mapping is kept, not what is in it.
        match unsafe { libc::madvise(ready.start(), ready.length, libc::MADV_COLLAPSE) } {
            0 => {}
            _ => return Err(io::Error::last_os_error()),
        }
        let claimed = self.around.iter().filter(|range| !range.is_empty()).map(Mapping::claim);
        let claimed = claimed.collect::<io::Result<Vec<_>>>()?;
        // SAFETY: what is replaced is the segment itself, by the same bytes of the same file with the same rights, in one step, and
        // what `claimed` holds. Nobody writes to either, and no other thread runs.
        check(unsafe {
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            libc::mremap(ready.start(), ready.length, ready.length, flags, memory.start as *mut c_void)
        })?;
        // Both have become the program's.
        claimed.into_iter().chain([ready]).for_each(std::mem::forget);
        Ok(())
    }
}

/// A mapping of its own.
struct Mapping {
    start: usize,
    length: usize,
}

impl Mapping {
    /// Of nothing, that begins with a huge page; both sides of it are given back.
    fn aligned(length: usize) -> io::Result<Self> {
        let whole = Self::reserve(0, length + HUGE, 0)?;
        let start = whole.start.next_multiple_of(HUGE);
        let end = start + length;
        let rest = [(whole.start, start), (end, whole.start + whole.length)];
        std::mem::forget(whole);
        rest.into_iter().for_each(|(start, end)| drop(Self { start, length: end - start }));
        Ok(Self { start, length })
    }

    /// Of nothing, at that place, unless something is there.
    fn claim(range: &Range<usize>) -> io::Result<Self> {
        Self::reserve(range.start, range.len(), libc::MAP_FIXED_NOREPLACE).and_then(|mapping| {
            // A kernel before 4.17 takes the place for a wish.
            if mapping.start == range.start { Ok(mapping) } else { Err(io::ErrorKind::AddrInUse.into()) }
        })
    }

    fn reserve(at: usize, length: usize, flags: c_int) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | flags;
        // SAFETY: without MAP_FIXED it takes no place of anything else.
        let place = check(unsafe { libc::mmap(at as *mut c_void, length, libc::PROT_NONE, flags, -1, 0) })?;
        Ok(Self { start: place as usize, length })
    }

    fn start(&self) -> *mut c_void {
        self.start as *mut c_void
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: it is this mapping's, and nothing refers to it. Fails only where there is none.
            unsafe { libc::munmap(self.start(), self.length) };
        }
    }
}

fn check(place: *mut c_void) -> io::Result<*mut c_void> {
    if place == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(place) }
}

/// The program's segments without a right to write, in whole pages. (Those with it are constants in part, once the program runs, but
/// no longer what is in the file.)
fn read_only_segments() -> Vec<Segment> {
    unsafe extern "C" fn first(object: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
        // SAFETY: the caller gives a valid object and the vector below.
        let (object, found) = unsafe { (&*object, &mut *found.cast::<Vec<Segment>>()) };
        // SAFETY: such headers are in memory for as long as the program.
        let headers = unsafe { slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)) };
        for header in headers {
            if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
                continue;
            }
            let sizes = (usize::try_from(object.dlpi_addr + header.p_vaddr), usize::try_from(header.p_memsz));
            let ((Ok(start), Ok(size)), Ok(offset)) = (sizes, usize::try_from(header.p_offset)) else {
                continue;
            };
            let into = start % PAGE;
            found.push(Segment {
                memory: start - into..(start + size).next_multiple_of(PAGE),
                offset: offset - into,
                executable: header.p_flags & libc::PF_X != 0,
            });
        }
        // The program is the first object, and the only one.
        1
    }
    let mut found = Vec::new();
    // SAFETY: `first` gets what it expects, and does not unwind.
    unsafe { libc::dl_iterate_phdr(Some(first), ptr::from_mut(&mut found).cast()) };
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: usize = 0x5555_5540_0000;

    fn segment(start: usize, end: usize, offset: usize) -> Segment {
        Segment { memory: AT + start..AT + end, offset, executable: true }
    }

    #[test]
    fn a_segment_is_widened_to_whole_huge_pages_of_the_file() {
        let wide = segment(0x19_5000, 0x4a_9000, 0x39_5000).widened(0x80_0000).unwrap();
        assert_eq!((wide.whole.memory, wide.whole.offset), (AT..AT + 0x60_0000, 0x20_0000));
        assert_eq!(wide.around, [AT..AT + 0x19_5000, AT + 0x4a_9000..AT + 0x60_0000]);
        let first = segment(0, 0x39_6000, 0).widened(0x40_0000).unwrap();
        assert_eq!((first.whole.memory, first.whole.offset), (AT..AT + 0x40_0000, 0));
    }

    #[test]
    fn what_does_not_lie_so_in_the_file_stays_as_it_is() {
        // Shifted against huge pages, too short a file, nothing before it.
        assert!(segment(0x19_5000, 0x4a_9000, 0x39_6000).widened(0x80_0000).is_none());
        assert!(segment(0x19_5000, 0x4a_9000, 0x39_5000).widened(0x7f_ffff).is_none());
        assert!(segment(0x19_5000, 0x4a_9000, 0x5000).widened(0x80_0000).is_none());
    }

    #[test]
    fn a_place_that_is_taken_is_not_claimed() {
        let mapping = Mapping::aligned(HUGE).unwrap();
        assert_eq!((mapping.start % HUGE, mapping.length), (0, HUGE));
        let range = mapping.start..mapping.start + PAGE;
        assert!(Mapping::claim(&range).is_err());
    }
}
