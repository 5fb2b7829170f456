package io.e2bridge.internal;

import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.spi.AbstractInterruptibleChannel;

/**
 * Lets {@link Thread#interrupt()} end a downcall that its platform thread is in.
 *
 * <p>A thread in native code does not notice an interrupt. What the JDK offers for its own blocking I/O is that between
 * {@code begin} and {@code end} of an interruptible channel the interrupting thread runs the channel's close. Here "close" asks
 * the library to cancel the call. This costs the caller two uncontended locks and no second thread, where a hand-over to a
 * pool costs several microseconds.
 *
 * <p>One call each; not reusable.
 */
final class InterruptibleCall extends AbstractInterruptibleChannel {
    private final long client;
    private final long number;
    private volatile boolean ended;

    /**
     * A call that has not begun.
     *
     * @param client the client's handle
     * @param number the call's number
     */
    InterruptibleCall(long client, long number) {
        this.client = client;
        this.number = number;
    }

    /**
     * From here to {@link #leave} an interrupt of this thread cancels the call.
     *
     * @return false when the thread was interrupted already; the call must not be made, {@link #leave} must follow
     */
    boolean enter() {
        begin();
        return isOpen();
    }

    /** The call has ended; the thread's interrupt flag is as it was. */
    void leave() {
        ended = true;
        try {
            end(true);
        } catch (ClosedByInterruptException interrupted) {
            // The call's own answer says whether the cancel came in time.
            assert Thread.currentThread().isInterrupted();
        } catch (AsynchronousCloseException impossible) {
            throw new IllegalStateException("nobody closes this channel but an interrupt", impossible);
        }
    }

    /** Runs in the interrupting thread. */
    @Override
    protected void implCloseChannel() {
        NativeCalls.cancel(client, number, () -> ended);
    }
}
