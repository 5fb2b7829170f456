package io.e2bridge.internal;

import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import io.e2bridge.internal.abi.E2BridgeNative;
import io.e2bridge.internal.abi.e2b_buffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The native memory of one call: its arguments, its out-buffer, and the client handle that {@code e2b_open} writes. Everything
 * but the answer's own memory ends with the frame; the answer is freed by the library.
 *
 * <p>One thread, the one that makes the call.
 */
final class Frame implements AutoCloseable {
    /** Room for the short arguments of an ordinary call; longer ones get memory of their own. */
    private static final long SLAB_BYTES = 512;

    private static final long HANDLE_OFFSET = e2b_buffer.sizeof();

    private final Arena arena = Arena.ofConfined();
    private final MemorySegment slab = arena.allocate(SLAB_BYTES, ValueLayout.JAVA_LONG.byteAlignment());
    private final MemorySegment out = slab.asSlice(0, e2b_buffer.sizeof());
    private final long client;
    private final long call;
    private long used = HANDLE_OFFSET + Long.BYTES;

    /**
     * An empty frame.
     *
     * @param client the client's handle
     * @param call the call's number
     */
    Frame(long client, long call) {
        this.client = client;
        this.call = call;
    }

    long client() {
        return client;
    }

    long call() {
        return call;
    }

    /** {@return the out-buffer} */
    MemorySegment out() {
        return out;
    }

    /** {@return where a new client's handle is written} */
    MemorySegment newClient() {
        return slab.asSlice(HANDLE_OFFSET, Long.BYTES);
    }

    /** {@return the handle that was written there} */
    long newClientHandle() {
        return slab.get(ValueLayout.JAVA_LONG, HANDLE_OFFSET);
    }

    /** {@return bytes copied to native memory; the null pointer for null} An empty array gets a pointer too: it is not absent. */
    MemorySegment in(byte[] bytes) {
        if (bytes == null) {
            return MemorySegment.NULL;
        }
        MemorySegment copy;
        if (bytes.length < SLAB_BYTES - used) {
            copy = slab.asSlice(used, Math.max(bytes.length, 1));
            used += bytes.length + 1;
        } else {
            copy = arena.allocate(bytes.length);
        }
        MemorySegment.copy(bytes, 0, copy, ValueLayout.JAVA_BYTE, 0, bytes.length);
        return copy;
    }

    /** {@return the length that crosses with {@link #in}} */
    static long length(byte[] bytes) {
        return bytes == null ? 0 : bytes.length;
    }

    /** {@return the answer, copied out of the out-buffer and freed there; empty when there is none} */
    byte[] takeAnswer() {
        try {
            MemorySegment data = e2b_buffer.data(out);
            long length = e2b_buffer.length(out);
            if (data.address() == 0 || length == 0) {
                return new byte[0];
            }
            if (length < 0 || length > Integer.MAX_VALUE - 8) {
                throw new E2BException(
                        E2BErrorCode.LIMIT_EXCEEDED,
                        "the answer has " + Long.toUnsignedString(length) + " bytes, more than a Java array holds",
                        null,
                        null,
                        null);
            }
            byte[] answer = new byte[(int) length];
            MemorySegment.copy(data.asSlice(0, length), ValueLayout.JAVA_BYTE, 0, answer, 0, answer.length);
            return answer;
        } finally {
            E2BridgeNative.e2b_buffer_free(out);
        }
    }

    @Override
    public void close() {
        arena.close();
    }
}
