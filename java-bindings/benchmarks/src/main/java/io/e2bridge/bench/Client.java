package io.e2bridge.bench;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.E2B;
import io.e2bridge.E2BConfig;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** A client of the engine with what the measurements need around it. Threads: as {@link E2B}. */
final class Client implements AutoCloseable {
    /** A pool that is not full after this long will not be. */
    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(20);
    private static final int LIFE_SECONDS = 86_400;

    private final E2B e2b;

    private Client(E2B e2b) {
        this.e2b = e2b;
    }

    /** Pools as a user gets them who sets nothing. */
    static Client withPools() {
        return new Client(E2B.open());
    }

    /** Nothing is ready: every create makes its sandbox. */
    static Client withoutPools() {
        return new Client(E2B.open(E2BConfig.builder().poolBase(0).poolPython(0).poolNode(0).build()));
    }

    E2B e2b() {
        return e2b;
    }

    String create(String template) {
        return e2b.createE2BSandbox("bench", template, LIFE_SECONDS, null, null).sandboxId();
    }

    void terminate(String sandbox) {
        e2b.terminateE2BSandbox(sandbox);
    }

    JsonNode pool(String template) {
        return e2b.monitorE2BHealth().pools().path(template);
    }

    /** Waits until the template's pool holds what it is to hold; sleeps meanwhile, so that it does not take the processor that fills it. */
    void awaitFullPool(String template) {
        long end = System.nanoTime() + PATIENCE;
        JsonNode pool = pool(template);
        while (pool.path("ready").asInt() < pool.path("target").asInt()) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException("the pool of " + template + " is not filled: " + pool);
            }
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(1));
            pool = pool(template);
        }
    }

    void awaitFullPools() {
        for (String template : new String[] {"base", "python", "node"}) {
            awaitFullPool(template);
        }
    }

    @Override
    public void close() {
        e2b.close();
    }
}
