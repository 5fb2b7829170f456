package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.NativeCalls;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * After every test class, what the library counts is zero: clients, calls, buffers, sandboxes. Found by the service loader, so
 * that no class can forget it.
 */
public final class NothingAlive implements AfterAllCallback {
    private static final List<String> COUNTS = List.of("clients", "calls", "buffers", "sandboxes");

    @Override
    public void afterAll(ExtensionContext context) throws InterruptedException {
        // A call that was cancelled or closed may still be on its way out, in a thread of its own.
        assertTrue(Census.within(5_000, () -> alive().isEmpty()), () -> context.getDisplayName() + " left " + alive());
    }

    /** {@return the counts that are not zero} */
    static Map<String, Integer> alive() {
        Map<String, Integer> alive = new TreeMap<>();
        for (Map.Entry<String, JsonNode> count : NativeCalls.liveCounts().properties()) {
            // The library of NativeCallsTest counts other things too.
            if (COUNTS.contains(count.getKey()) && count.getValue().intValue() != 0) {
                alive.put(count.getKey(), count.getValue().intValue());
            }
        }
        return alive;
    }
}
