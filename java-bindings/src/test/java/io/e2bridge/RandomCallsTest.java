package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Sixteen threads that open, use and close clients at random, each other's too, for four seconds or, in the long run, a minute. */
@Timeout(600)
class RandomCallsTest {
    /** Chances from a seed, so that a run can be repeated. */
    static AnyCall.Choices random(long seed) {
        Random random = new Random(seed);
        return new AnyCall.Choices() {
            @Override
            public int below(int bound) {
                return random.nextInt(bound);
            }

            @Override
            public int number() {
                return random.nextInt(3) == 0 ? random.nextInt() : random.nextInt(-2, 100_000);
            }

            @Override
            public String text() {
                char[] text = new char[random.nextInt(20)];
                for (int i = 0; i < text.length; i++) {
                    text[i] = (char) (random.nextInt(8) == 0 ? random.nextInt(0x10000) : random.nextInt(0x80));
                }
                return new String(text);
            }

            @Override
            public byte[] bytes() {
                byte[] bytes = new byte[random.nextInt(1_000)];
                random.nextBytes(bytes);
                return bytes;
            }
        };
    }

    @Test
    void sixteenThreadsOpenUseAndCloseAtRandom() throws Exception {
        long seed = System.nanoTime();
        System.out.println("random calls: seed " + seed);
        // What the first client of a JVM brings with it stays.
        Engine.open().close();
        int descriptors = Census.descriptors();
        Map<Long, String> processes = Census.descendants(ProcessHandle.current().pid());
        Engine[] first = {Engine.open(), Engine.open(), Engine.open(), Engine.open()};
        AtomicReferenceArray<Engine> engines = new AtomicReferenceArray<>(first);
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(Host.full() ? 60 : 4);
        Map<E2BErrorCode, AtomicLong> refusals = new EnumMap<>(E2BErrorCode.class);
        for (E2BErrorCode code : E2BErrorCode.values()) {
            refusals.put(code, new AtomicLong());
        }
        AtomicLong documents = new AtomicLong();
        List<CompletableFuture<Void>> threads = new ArrayList<>();
        for (int i = 0; i < 16; i++) {
            Random random = new Random(seed + i);
            CompletableFuture<Void> done = new CompletableFuture<>();
            threads.add(done);
            (i % 2 == 0 ? Thread.ofPlatform() : Thread.ofVirtual()).start(() -> {
                try {
                    // On a busy machine the time may be over before much was tried.
                    for (int round = 0; round < 3 || System.nanoTime() < end; round++) {
                        int slot = random.nextInt(engines.length());
                        Engine engine = engines.get(slot);
                        AnyCall calls = new AnyCall(engine, random(random.nextLong()));
                        if (random.nextInt(8) == 0) {
                            Thread.currentThread().interrupt();
                        }
                        for (int call = random.nextInt(20); call >= 0; call--) {
                            if (calls.make() instanceof E2BException e) {
                                refusals.get(e.code()).incrementAndGet();
                            } else {
                                documents.incrementAndGet();
                            }
                        }
                        Thread.interrupted();
                        if (random.nextInt(4) == 0) {
                            // Others are in calls on the one that goes.
                            engines.getAndSet(slot, Engine.open()).close();
                        }
                    }
                    done.complete(null);
                } catch (Throwable e) {
                    done.completeExceptionally(e);
                }
            });
        }
        try {
            for (CompletableFuture<Void> thread : threads) {
                thread.get(5, TimeUnit.MINUTES);
            }
        } finally {
            for (int slot = 0; slot < engines.length(); slot++) {
                engines.get(slot).close();
            }
        }
        refusals.values().removeIf(count -> count.get() == 0);
        System.out.println("random calls: " + documents + " documents, refused " + refusals);
        assertTrue(documents.get() > 20, documents.toString());
        assertTrue(refusals.keySet().containsAll(
                Set.of(E2BErrorCode.INVALID_ARGUMENT, E2BErrorCode.NOT_FOUND, E2BErrorCode.CANCELLED)), refusals.toString());
        assertTrue(Census.within(10_000, () -> Census.descriptors() <= descriptors + 8), () -> descriptors + " -> " + Census.descriptors());
        assertTrue(Census.within(10_000, () -> Census.descendants(ProcessHandle.current().pid()).size() <= processes.size()),
                () -> processes + " -> " + Census.descendants(ProcessHandle.current().pid()));
    }
}
