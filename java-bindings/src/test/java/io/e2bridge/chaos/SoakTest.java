package io.e2bridge.chaos;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.e2bridge.ChildJvm;
import io.e2bridge.Engine;
import org.junit.jupiter.api.Test;

/** The short form of {@code scripts/soak}. */
class SoakTest {
    @Test
    void twentySecondsOfEverythingWithFaults() throws Exception {
        Engine.open().close();
        ChildJvm soak = new ChildJvm().options("-XX:+UseSerialGC");
        ChildJvm.Result result = ChildJvm.run(soak.command(Soak.class, "20", "0", "-"), 5);
        assertEquals(0, result.exitCode(), result.output());
    }
}
