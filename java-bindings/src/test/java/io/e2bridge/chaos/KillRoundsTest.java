package io.e2bridge.chaos;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.e2bridge.ChildJvm;
import io.e2bridge.Engine;
import io.e2bridge.Host;
import org.junit.jupiter.api.Test;

/** The short form of {@code scripts/kill-rounds}. */
class KillRoundsTest {
    @Test
    void whoeverIsKilledNoCallHangsAndNothingIsLeft() throws Exception {
        Engine.open().close();
        ChildJvm driver = new ChildJvm().options(ChildJvm.properties());
        ChildJvm.Result result = ChildJvm.run(driver.command(KillRounds.class, Host.full() ? "100" : "12", "0"), Host.full() ? 20 : 5);
        assertEquals(0, result.exitCode(), result.output());
    }
}
