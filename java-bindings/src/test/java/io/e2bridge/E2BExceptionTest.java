package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

class E2BExceptionTest {
    @Test
    void keepsWhatItWasMadeOf() {
        Exception cause = new IllegalStateException("x");
        Map<String, Object> context = new HashMap<>(Map.of("value", 0));
        E2BException e = new E2BException(E2BErrorCode.INVALID_ARGUMENT, "timeout: must be more", "timeout", context, cause);
        context.put("later", 1);
        assertEquals(E2BErrorCode.INVALID_ARGUMENT, e.code());
        assertEquals(1, e.number());
        assertEquals("timeout: must be more", e.getMessage());
        assertEquals("timeout", e.argument());
        assertEquals(Map.of("value", 0), e.context());
        assertThrows(UnsupportedOperationException.class, () -> e.context().clear());
        assertSame(cause, e.getCause());
        assertEquals("io.e2bridge.E2BException: INVALID_ARGUMENT: timeout: must be more", e.toString());
    }

    @Test
    void noContextIsAnEmptyOne() {
        E2BException e = new E2BException(E2BErrorCode.CLOSED, "closed", null, null, null);
        assertNull(e.argument());
        assertTrue(e.context().isEmpty());
    }

    @Test
    void everyNumberHasItsCodeAndUnknownOnesAreKept() {
        Set<Integer> numbers = new HashSet<>();
        for (E2BErrorCode code : E2BErrorCode.values()) {
            assertTrue(numbers.add(code.number()));
            assertEquals(code, E2BErrorCode.ofNumber(code.number()));
        }
        for (int number : new int[] {0, 15, 99, -2, Integer.MIN_VALUE, Integer.MAX_VALUE}) {
            E2BException e = E2BException.ofNumber(number, "new", null, null);
            assertEquals(E2BErrorCode.UNKNOWN, e.code());
            assertEquals(number, e.number());
            assertTrue(e.toString().contains("(" + number + ")"), e.toString());
        }
    }

    @Test
    void crossesSerialization() throws Exception {
        Map<String, Object> context = new LinkedHashMap<>();
        context.put("status", "terminated");
        context.put("list", new ArrayList<>(List.of(1, "a")));
        context.put("none", null);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream output = new ObjectOutputStream(bytes)) {
            output.writeObject(new E2BException(E2BErrorCode.NOT_FOUND, "m", "sandbox_id", context, null));
        }
        try (ObjectInputStream input = new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
            E2BException e = (E2BException) input.readObject();
            assertEquals(E2BErrorCode.NOT_FOUND, e.code());
            assertEquals("sandbox_id", e.argument());
            assertEquals(context, e.context());
        }
    }
}
