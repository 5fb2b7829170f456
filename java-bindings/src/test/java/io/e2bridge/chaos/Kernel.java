package io.e2bridge.chaos;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** System calls that Java does not offer. */
final class Kernel {
    static final int SIGKILL = 9;
    static final int SIGCONT = 18;
    static final int SIGSTOP = 19;

    private static final int PR_SET_CHILD_SUBREAPER = 36;
    private static final int WNOHANG = 1;
    private static final int CREATE_PRIVATE = 0x200 | 0600;
    private static final int IPC_RMID = 0;

    private static final MethodHandle KILL = handle("kill", ValueLayout.JAVA_INT, ValueLayout.JAVA_INT);
    private static final MethodHandle WAITPID =
            handle("waitpid", ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT);
    private static final MethodHandle PRCTL = handle(
            "prctl", ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG);
    private static final MethodHandle SHMGET = handle("shmget", ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT);
    private static final MethodHandle SHMCTL = handle("shmctl", ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG);
    private static final MethodHandle MEMFD_CREATE = handle("memfd_create", ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT);
    private static final MethodHandle MALLOC_TRIM = handle("malloc_trim", ValueLayout.JAVA_LONG);
    private static final MethodHandle CLOSE = handle("close", ValueLayout.JAVA_INT);

    private Kernel() {}

    private static MethodHandle handle(String name, ValueLayout... arguments) {
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(
                linker.defaultLookup().find(name).orElseThrow(), FunctionDescriptor.of(ValueLayout.JAVA_INT, arguments));
    }

    private static int call(MethodHandle handle, Object... arguments) {
        try {
            return (int) handle.invokeWithArguments(arguments);
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    /** Sends a signal; true when there was such a process. */
    static boolean signal(long pid, int signal) {
        if (pid <= 1) {
            throw new IllegalArgumentException("process " + pid);
        }
        return call(KILL, (int) pid, signal) == 0;
    }

    /** Makes this process the parent of every orphan below it, so that none of them gets out of sight. */
    static void adoptOrphans() {
        if (call(PRCTL, PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L) != 0) {
            throw new IllegalStateException("prctl");
        }
    }

    /** Takes leave of a child that has ended. */
    static void reap(long pid) {
        call(WAITPID, (int) pid, 0L, WNOHANG);
    }

    /** {@return the id of a new segment of shared memory} */
    static int sharedMemory() {
        return call(SHMGET, 0, 4096L, CREATE_PRIVATE);
    }

    /** Removes a segment of shared memory. */
    static void removeSharedMemory(int id) {
        call(SHMCTL, id, IPC_RMID, 0L);
    }

    /** {@return a new memory file; its name is empty} */
    static int memoryFile() {
        try (java.lang.foreign.Arena arena = java.lang.foreign.Arena.ofConfined()) {
            return call(MEMFD_CREATE, arena.allocateFrom("planted").address(), 0);
        }
    }

    /** Gives memory that the C library's allocator has free back to the system. */
    static void trimHeap() {
        call(MALLOC_TRIM, 0L);
    }

    /** Closes a descriptor. */
    static void close(int descriptor) {
        call(CLOSE, descriptor);
    }
}
