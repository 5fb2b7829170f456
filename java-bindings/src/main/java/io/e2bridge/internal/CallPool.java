package io.e2bridge.internal;

import java.util.concurrent.FutureTask;
import java.util.concurrent.Semaphore;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Platform threads that make the calls of virtual threads, because a downcall that blocks would take the carrier with it. At
 * most {@link #MOST_CALLS} calls run at once, further ones wait on their virtual threads. Idle threads end after two seconds;
 * they are daemons.
 */
final class CallPool {
    /** Calls of virtual threads in native code at once, over all clients. */
    static final int MOST_CALLS = 256;

    private static final Semaphore PERMITS = new Semaphore(MOST_CALLS);
    private static final AtomicLong THREADS = new AtomicLong();
    // The permits are the bound: a thread that has just answered may not be idle yet when its permit is taken again.
    private static final ThreadPoolExecutor THREAD_POOL = new ThreadPoolExecutor(
            0, Integer.MAX_VALUE, 2, TimeUnit.SECONDS, new SynchronousQueue<>(), work -> {
                Thread thread = new Thread(null, work, "e2bridge-call-" + THREADS.incrementAndGet(), 0, false);
                thread.setDaemon(true);
                return thread;
            });

    private CallPool() {}

    /** Waits for room. An interrupt ends the wait. */
    static void enter() throws InterruptedException {
        PERMITS.acquire();
    }

    /** Waits for room, whatever happens. */
    static void enterUninterruptibly() {
        PERMITS.acquireUninterruptibly();
    }

    /** Gives the room back. */
    static void leave() {
        PERMITS.release();
    }

    /** Runs a task on a thread of the pool. */
    static void start(Runnable task) {
        THREAD_POOL.execute(task);
    }

    /** A task of the pool for its caller to wait on. */
    static <T> FutureTask<T> submit(java.util.concurrent.Callable<T> work) {
        FutureTask<T> task = new FutureTask<>(work);
        start(task);
        return task;
    }
}
