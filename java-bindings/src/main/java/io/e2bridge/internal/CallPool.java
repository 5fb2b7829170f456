package io.e2bridge.internal;

import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import java.util.concurrent.Callable;
import java.util.concurrent.FutureTask;
import java.util.concurrent.Semaphore;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Platform threads that make the calls of virtual threads, because a downcall that blocks would take the carrier with it. The
 * number of calls at once is bounded, further ones wait on their virtual threads. Idle threads end after two seconds; they are
 * daemons.
 */
final class CallPool {
    /** Calls at once that may wait for what runs in a sandbox, over all clients. */
    static final int MOST_WAITING_CALLS = 256;

    /** Other calls at once. They have room of their own, so that ending something never queues behind what it would end. */
    static final int MOST_OTHER_CALLS = 64;

    /** The room for calls that may wait. */
    static final Semaphore WAITING = new Semaphore(MOST_WAITING_CALLS);

    /** The room for the others. */
    static final Semaphore OTHERS = new Semaphore(MOST_OTHER_CALLS);

    private static final AtomicLong THREADS = new AtomicLong();

    // The rooms are the bound: a thread that has just answered may not be idle yet when its place is taken again.
    private static final ThreadPoolExecutor THREAD_POOL = new ThreadPoolExecutor(
            0, Integer.MAX_VALUE, 2, TimeUnit.SECONDS, new SynchronousQueue<>(), work -> {
                Thread thread = new Thread(null, work, "e2bridge-call-" + THREADS.incrementAndGet(), 0, false);
                thread.setDaemon(true);
                return thread;
            });

    private CallPool() {}

    /**
     * Runs a task on a thread of the pool.
     *
     * @throws E2BException LIMIT_EXCEEDED when the process can have no further thread
     */
    static void start(Runnable task) {
        try {
            THREAD_POOL.execute(task);
        } catch (OutOfMemoryError e) {
            // It says so of threads, too.
            throw new E2BException(E2BErrorCode.LIMIT_EXCEEDED, "no thread for the call: " + e.getMessage(), null, null, e);
        }
    }

    /** {@return a task of the pool for its caller to wait on} */
    static <T> FutureTask<T> submit(Callable<T> work) {
        FutureTask<T> task = new FutureTask<>(work);
        start(task);
        return task;
    }
}
