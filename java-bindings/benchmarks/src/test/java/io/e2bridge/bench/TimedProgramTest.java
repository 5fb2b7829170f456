package io.e2bridge.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;

class TimedProgramTest {
    private static final String ANSWERS = "while read operation count; do case $operation in good) echo '1000 2500 ';; bad) echo 'error bad: no';; poor) echo 'lacking poor: none';; *) exit;; esac; done";

    @Test
    void timesErrorsAndTheEndAreTold() throws IOException {
        try (TimedProgram program = new TimedProgram(List.of("sh", "-c", ANSWERS))) {
            assertArrayEquals(new double[] {1, 2.5}, program.times("good", 2));
            assertEquals("error bad: no", assertThrows(IOException.class, () -> program.times("bad", 1)).getMessage());
            assertEquals("lacking poor: none", assertThrows(TimedProgram.LackingException.class, () -> program.times("poor", 1)).getMessage());
            assertArrayEquals(new double[] {1, 2.5}, program.times("good", 2));
            assertTrue(assertThrows(IOException.class, () -> program.times("end", 1)).getMessage().endsWith("ended"));
        }
    }

    @Test
    void whatWasNeverAskedWasNeverStarted() throws IOException {
        new TimedProgram(List.of("/does/not/exist")).close();
        try (TimedProgram program = new TimedProgram(List.of("/does/not/exist"))) {
            assertThrows(IOException.class, () -> program.times("good", 1));
        }
    }
}
