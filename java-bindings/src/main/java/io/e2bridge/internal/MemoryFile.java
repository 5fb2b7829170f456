package io.e2bridge.internal;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/**
 * An anonymous file in memory ({@code memfd_create}) that can be sealed against changes. Its descriptor is closed on exec and
 * stays open for the life of the JVM.
 */
final class MemoryFile {
    private static final int MFD_CLOEXEC = 0x1;
    private static final int MFD_ALLOW_SEALING = 0x2;
    private static final int MFD_EXEC = 0x10;
    private static final int F_ADD_SEALS = 1033;
    private static final int F_SEAL_SEAL = 0x1;
    private static final int F_SEAL_SHRINK = 0x2;
    private static final int F_SEAL_GROW = 0x4;
    private static final int F_SEAL_WRITE = 0x8;
    private static final int EINVAL = 22;

    /** The kernel's refusal of one call. */
    static final class RefusedException extends Exception {
        private static final long serialVersionUID = 1L;
        private final int errno;

        RefusedException(String call, int errno) {
            super(call + " failed with errno " + errno);
            this.errno = errno;
        }

        int errno() {
            return errno;
        }
    }

    private final int descriptor;
    private final Calls calls;

    private MemoryFile(int descriptor, Calls calls) {
        this.descriptor = descriptor;
        this.calls = calls;
    }

    /**
     * An empty executable file.
     *
     * @param name what {@code /proc/self/maps} shows
     * @return the file
     * @throws RefusedException when the kernel refuses
     */
    static MemoryFile create(String name) throws RefusedException {
        Calls calls = new Calls();
        int descriptor;
        try {
            descriptor = calls.memfdCreate(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
        } catch (RefusedException e) {
            if (e.errno() != EINVAL) {
                throw e;
            }
            // Kernels before 6.3 do not know the flag; their memory files are executable without it.
            descriptor = calls.memfdCreate(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        }
        return new MemoryFile(descriptor, calls);
    }

    /** {@return the path under which this process reaches the file} */
    String path() {
        return "/proc/self/fd/" + descriptor;
    }

    /**
     * Makes the content final: no write, no change of size, no further seals.
     *
     * @throws RefusedException when the kernel refuses
     */
    void seal() throws RefusedException {
        calls.addSeals(descriptor, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    }

    /** The two C functions, with errno captured at the call. */
    private static final class Calls {
        private static final StructLayout STATE = Linker.Option.captureStateLayout();
        private static final VarHandle ERRNO = STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));

        private final MethodHandle memfdCreate;
        private final MethodHandle fcntl;

        @SuppressWarnings("restricted")
        Calls() {
            Linker linker = Linker.nativeLinker();
            SymbolLookup lookup = linker.defaultLookup();
            Linker.Option errno = Linker.Option.captureCallState("errno");
            memfdCreate = linker.downcallHandle(
                    lookup.find("memfd_create").orElseThrow(),
                    FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_INT),
                    errno);
            fcntl = linker.downcallHandle(
                    lookup.find("fcntl").orElseThrow(),
                    FunctionDescriptor.of(
                            ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT),
                    errno,
                    Linker.Option.firstVariadicArg(2));
        }

        int memfdCreate(String name, int flags) throws RefusedException {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment state = arena.allocate(STATE);
                int descriptor = (int) memfdCreate.invokeExact(state, arena.allocateFrom(name), flags);
                if (descriptor < 0) {
                    throw new RefusedException("memfd_create", (int) ERRNO.get(state, 0L));
                }
                return descriptor;
            } catch (RefusedException | RuntimeException | Error e) {
                throw e;
            } catch (Throwable e) {
                throw new AssertionError("a downcall throws nothing checked", e);
            }
        }

        void addSeals(int descriptor, int seals) throws RefusedException {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment state = arena.allocate(STATE);
                if ((int) fcntl.invokeExact(state, descriptor, F_ADD_SEALS, seals) < 0) {
                    throw new RefusedException("fcntl(F_ADD_SEALS)", (int) ERRNO.get(state, 0L));
                }
            } catch (RefusedException | RuntimeException | Error e) {
                throw e;
            } catch (Throwable e) {
                throw new AssertionError("a downcall throws nothing checked", e);
            }
        }
    }
}
