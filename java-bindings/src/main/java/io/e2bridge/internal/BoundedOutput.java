package io.e2bridge.internal;

import java.io.ByteArrayOutputStream;

/** Collects bytes up to a bound, so that an oversized argument is refused before it fills the heap. One thread. */
final class BoundedOutput extends ByteArrayOutputStream {
    private final String parameter;
    private final int most;

    /**
     * An empty collector.
     *
     * @param parameter whose text it is, for the refusal
     * @param most bytes at most
     */
    BoundedOutput(String parameter, int most) {
        this.parameter = parameter;
        this.most = most;
    }

    @Override
    public synchronized void write(int b) {
        reserve(1);
        super.write(b);
    }

    @Override
    public synchronized void write(byte[] bytes, int offset, int length) {
        reserve(length);
        super.write(bytes, offset, length);
    }

    private void reserve(int length) {
        if (length > most - count) {
            throw Marshaller.tooLong(parameter, (long) count + length, most);
        }
    }
}
