package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What goes to System.Logger, and what does not. */
@Timeout(120)
class EventsTest {
    @Test
    void everyEventIsThereAtDebugAndNoContentEver(@TempDir Path directory) throws Exception {
        Engine.open().close();
        Path settings = Files.writeString(directory.resolve("logging.properties"), """
                handlers=java.util.logging.ConsoleHandler
                java.util.logging.ConsoleHandler.level=ALL
                io.e2bridge.level=FINE
                """);
        String output = run("-Djava.util.logging.config.file=" + settings);
        for (String event : new String[] {
            "client opened: backend local, isolation required", "sandbox sb_", " created from base", "was ended by its time-out",
            " terminated, forced true", "client closed"
        }) {
            assertTrue(output.contains(event), "'" + event + "' is not in:\n" + output);
        }
        assertFalse(output.contains("top-secret"), output);
    }

    @Test
    void byDefaultOnlyWhatALimitEndedIsSaid() throws Exception {
        Engine.open().close();
        String output = run("-Dunused=");
        assertTrue(output.contains("was ended by its time-out"), output);
        assertFalse(output.contains("client opened") || output.contains(" created from "), output);
    }

    private static String run(String option) throws Exception {
        ChildJvm.Result result = new ChildJvm().options(option).run(EventsProbe.class);
        assertEquals(0, result.exitCode(), result.output());
        return result.output();
    }
}
