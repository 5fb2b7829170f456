package io.e2bridge.internal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.annotation.JsonRawValue;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every rule of the marshaller: what crosses, and what is refused and how. */
public class MarshallerTest {
    private static final ObjectMapper MAPPER = new ObjectMapper();

    private static E2BException refused(E2BErrorCode code, String argument, Executable call) {
        E2BException e = assertThrows(E2BException.class, call);
        assertEquals(code, e.code(), e.getMessage());
        assertEquals(argument, e.argument(), e.getMessage());
        assertTrue(e.getMessage().startsWith(argument + ": "), e.getMessage());
        return e;
    }

    private static E2BException invalid(String argument, Executable call) {
        return refused(E2BErrorCode.INVALID_ARGUMENT, argument, call);
    }

    private static String object(Object value) {
        return new String(Marshaller.object("p", value), StandardCharsets.UTF_8);
    }

    // Texts

    @ParameterizedTest
    @ValueSource(strings = {"", "sb_1", "a\0b", "é", "€", "日本語", "\ud83d\ude00", "line\nline", "\ufeff", "\uffff"})
    void textCrossesAsItsUtf8(String text) {
        assertArrayEquals(text.getBytes(StandardCharsets.UTF_8), Marshaller.text("p", text));
        assertArrayEquals(text.getBytes(StandardCharsets.UTF_8), Marshaller.optionalText("p", text));
    }

    @Test
    void nullTextIsAbsentOrRefused() {
        assertNull(Marshaller.optionalText("p", null));
        invalid("sandbox_id", () -> Marshaller.text("sandbox_id", null));
    }

    @ParameterizedTest
    @CsvSource({"\\ud800,0", "ab\\udc00,2", "x\\ud83dy,1", "\\ude00\\ud83d,0", "\\ud83d\\ude00\\ud83d,2"})
    void loneSurrogateIsRefusedWithItsIndex(String escaped, int index) throws Exception {
        String text = MAPPER.readValue('"' + escaped + '"', String.class);
        E2BException e = invalid("code", () -> Marshaller.text("code", text));
        assertEquals(index, e.context().get("index"));
        invalid("code", () -> Marshaller.optionalText("code", text));
    }

    @Test
    void textOver64MiBIsRefusedBeforeTheBoundary() {
        assertEquals(Marshaller.MOST_TEXT_BYTES, Marshaller.text("p", "a".repeat(Marshaller.MOST_TEXT_BYTES)).length);
        E2BException e = refused(
                E2BErrorCode.LIMIT_EXCEEDED, "p", () -> Marshaller.text("p", "a".repeat(Marshaller.MOST_TEXT_BYTES + 1)));
        assertEquals((long) Marshaller.MOST_TEXT_BYTES, e.context().get("limit_bytes"));
        // Within the bound in characters, over it in bytes.
        refused(E2BErrorCode.LIMIT_EXCEEDED, "p", () -> Marshaller.text("p", "é".repeat(Marshaller.MOST_TEXT_BYTES / 2 + 1)));
    }

    // Flags, numbers, bytes

    @Test
    void flagsCrossAsWords() {
        assertArrayEquals("true".getBytes(StandardCharsets.US_ASCII), Marshaller.flag(true));
        assertArrayEquals("false".getBytes(StandardCharsets.US_ASCII), Marshaller.flag(Boolean.FALSE));
        assertNull(Marshaller.flag(null));
    }

    @Test
    void integersCrossAsLongsAndNullAsAbsent() {
        assertEquals(0, Marshaller.integer(0));
        assertEquals(-1, Marshaller.integer(-1));
        assertEquals(Integer.MAX_VALUE, Marshaller.integer(Integer.MAX_VALUE));
        assertEquals(Integer.MIN_VALUE, Marshaller.integer(Integer.MIN_VALUE));
        assertEquals(Long.MIN_VALUE, Marshaller.integer(null));
    }

    @Test
    void contentCrossesAsItIs() {
        byte[] content = {0, -1, 10};
        assertSame(content, Marshaller.content("content", content));
        invalid("content", () -> Marshaller.content("content", null));
        refused(E2BErrorCode.LIMIT_EXCEEDED, "content",
                () -> Marshaller.content("content", new byte[Marshaller.MOST_CONTENT_BYTES + 1]));
    }

    // Lists

    @Test
    void listsCrossAsJsonArrays() throws Exception {
        List<String> texts = List.of("", "a b", "\"quoted\"", "\\", "\n\u0001", "é€\ud83d\ude00", "a\0b");
        byte[] json = Marshaller.texts("args", texts);
        assertEquals(texts, Arrays.asList(MAPPER.readValue(json, String[].class)));
        assertEquals("[]", new String(Marshaller.texts("args", List.of()), StandardCharsets.UTF_8));
        assertNull(Marshaller.optionalTexts("args", null));
        invalid("symbols", () -> Marshaller.texts("symbols", null));
    }

    @Test
    void listElementsAreNamed() {
        invalid("args[1]", () -> Marshaller.texts("args", Arrays.asList("a", null)));
        invalid("args[2]", () -> Marshaller.texts("args", List.of("a", "b", "c\udc00")));
        @SuppressWarnings({"unchecked", "rawtypes"})
        List<String> polluted = (List) List.of("a", 1);
        E2BException e = invalid("args[1]", () -> Marshaller.texts("args", polluted));
        assertTrue(e.getMessage().contains("java.lang.Integer"), e.getMessage());
    }

    @Test
    void listsThatCannotBeReadAreRefusedWithTheirCause() {
        List<String> list = new java.util.AbstractList<>() {
            @Override
            public String get(int index) {
                throw new IllegalStateException("no element today");
            }

            @Override
            public int size() {
                return 1;
            }
        };
        E2BException e = assertThrows(E2BException.class, () -> Marshaller.texts("symbols", list));
        assertEquals(E2BErrorCode.INVALID_ARGUMENT, e.code());
        assertEquals("symbols", e.argument());
        assertEquals("symbols: cannot be read: java.lang.IllegalStateException: no element today", e.getMessage());
    }

    @Test
    void listOver64MiBIsRefused() {
        List<String> large = Collections.nCopies(65, "a".repeat(1024 * 1024));
        refused(E2BErrorCode.LIMIT_EXCEEDED, "args", () -> Marshaller.texts("args", large));
    }

    // Objects: what crosses

    /** A record with each kind of value. */
    public record Parameters(int lookback, double threshold, String name, List<Integer> days, Map<String, Double> weights) {}

    /** A bean. */
    public static class Bean {
        /** {@return a number} */
        public int getLookback() {
            return 20;
        }

        /** {@return a flag} */
        public boolean isActive() {
            return true;
        }
    }

    /** Words. */
    public enum Word {
        /** One. */
        UP
    }

    @Test
    void mapRecordBeanNodeAndTextCross() throws Exception {
        assertEquals("{\"a\":1}", object(Map.of("a", 1)));
        assertEquals("{}", object(Map.of()));
        assertEquals(
                MAPPER.readTree("{\"lookback\":20,\"threshold\":0.5,\"name\":\"é\",\"days\":[1,2],\"weights\":{\"SPY\":1.0}}"),
                MAPPER.readTree(object(new Parameters(20, 0.5, "é", List.of(1, 2), Map.of("SPY", 1.0)))));
        assertEquals(MAPPER.readTree("{\"lookback\":20,\"active\":true}"), MAPPER.readTree(object(new Bean())));
        assertEquals("{\"a\":[null,true]}", object(MAPPER.readTree("{\"a\":[null,true]}")));
        assertNull(Marshaller.optionalObject("p", null));
    }

    @Test
    void textThatIsAnObjectCrossesUnchanged() {
        for (String text : List.of("{}", " {\"a\" : 1.10 } ", "{\"n\":123456789012345678901234567890}", "{\"a\":{\"a\":1}}")) {
            assertEquals(text, object(text));
        }
    }

    @Test
    void everyKindOfValueCrosses() throws Exception {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("null", null);
        map.put("integer", 1);
        map.put("long", Long.MIN_VALUE);
        map.put("big", new BigInteger("123456789012345678901234567890"));
        map.put("decimal", new BigDecimal("1.10"));
        map.put("float", 1.5f);
        map.put("double", -0.25);
        map.put("char", 'c');
        map.put("enum", Word.UP);
        map.put("array", new int[] {1, 2});
        map.put("doubles", new double[] {1.5, 2.5});
        map.put("objects", new Object[] {"x", null, List.of()});
        map.put("nested", Map.of("k", Map.of("k", List.of(Map.of()))));
        assertEquals(MAPPER.valueToTree(map).toString(), MAPPER.readTree(object(map)).toString());
    }

    @Test
    void keysThatHaveOneTextCross() {
        assertEquals("{\"1\":\"a\"}", object(Map.of(1, "a")));
        assertEquals("{\"UP\":1}", object(Map.of(Word.UP, 1)));
    }

    // Objects: what does not

    @Test
    void nullWhereAnObjectIsDue() {
        invalid("configuration", () -> Marshaller.object("configuration", null));
        invalid("p", () -> Marshaller.object("p", NullNode.instance));
        invalid("p", () -> Marshaller.object("p", MissingNode.getInstance()));
        invalid("p", () -> Marshaller.object("p", "null"));
    }

    @Test
    void otherJsonWhereAnObjectIsDue() {
        Object[][] cases = {
            {List.of(), "an array"}, {List.of(Map.of()), "an array"}, {new int[] {1}, "an array"}, {new double[] {1}, "an array"},
            {new String[] {"a"}, "an array"}, {"[]", "an array"}, {"[{}]", "an array"}, {JsonNodeFactory.instance.arrayNode(), "an array"},
            {Boolean.FALSE, "a boolean"}, {"false", "a boolean"}, {1, "a number"}, {1.5, "a number"}, {"1", "a number"},
            {BigInteger.TEN, "a number"}, {BigDecimal.ONE, "a number"}, {(short) 1, "a number"}, {"\"a\"", "a string"},
            {'c', "a string"}, {Word.UP, "a string"}, {JsonNodeFactory.instance.textNode("{}"), "a string"}, {new byte[] {1}, "bytes"},
            {"", "nothing"}, {"  ", "nothing"},
        };
        for (Object[] one : cases) {
            E2BException e = invalid("p", () -> Marshaller.object("p", one[0]));
            assertTrue(e.getMessage().endsWith("must be a JSON object, got " + one[1]), one[0] + " -> " + e.getMessage());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "{", "{\"a\":1", "{\"a\"}", "{a:1}", "{'a':1}", "{\"a\":1,}", "{\"a\":NaN}", "{\"a\":Infinity}", "{\"a\":01}", "{} {}", "{}x",
        "{\"a\":\"\u0001\"}", "nonsense", "{\"a\":.5}", "{/* */}", "{\"a\":1,\"a\":2}", "{\"b\":{\"a\":1,\"a\":2}}"
    })
    void textThatIsNoStrictJsonIsRefused(String text) {
        invalid("p", () -> Marshaller.object("p", text));
    }

    @Test
    void escapedLoneSurrogatesInTextAreRefused() {
        invalid("p.a", () -> Marshaller.object("p", "{\"a\":\"\\ud800\"}"));
        invalid("p.a[1]", () -> Marshaller.object("p", "{\"a\":[1,\"\\udc00x\"]}"));
        assertThrows(E2BException.class, () -> Marshaller.object("p", "{\"\\ud800\":1}"));
        object("{\"a\":\"\\ud83d\\ude00\"}");
    }

    /** Doubles of a record. */
    public record Numbers(double value, Float other) {}

    @Test
    void numbersThatAreNoneAreRefusedWithTheirPlace() {
        for (double number : new double[] {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY}) {
            E2BException e = invalid("p.a", () -> Marshaller.object("p", Map.of("a", number)));
            assertTrue(e.getMessage().endsWith("must be a finite number, got " + number), e.getMessage());
            invalid("p.a", () -> Marshaller.object("p", Map.of("a", (float) number)));
            invalid("p.value", () -> Marshaller.object("p", new Numbers(number, null)));
            invalid("p.other", () -> Marshaller.object("p", new Numbers(1, (float) number)));
            invalid("p.a[1]", () -> Marshaller.object("p", Map.of("a", new double[] {1, number})));
            invalid("p.a[1]", () -> Marshaller.object("p", Map.of("a", new float[] {1, (float) number})));
            invalid("p.prices.SPY[2]", () -> Marshaller.object("p", Map.of("prices", Map.of("SPY", List.of(1, 2, number)))));
            invalid("p.a[0].b[1][1]", () -> Marshaller.object(
                    "p", Map.of("a", List.of(Map.of("b", List.of(1, List.of(2, number)))))));
            invalid("p.a", () -> Marshaller.object("p", JsonNodeFactory.instance.objectNode().put("a", number)));
        }
    }

    @Test
    void loneSurrogatesAreRefusedWithTheirPlace() {
        invalid("p.a", () -> Marshaller.object("p", Map.of("a", "\ud800")));
        invalid("p.a", () -> Marshaller.object("p", Map.of("a", '\udc00')));
        invalid("p.a[1]", () -> Marshaller.object("p", Map.of("a", List.of("x", "\ud800"))));
        invalid("p", () -> Marshaller.object("p", Map.of("\ud800", 1)));
        invalid("p.a", () -> Marshaller.object("p", Map.of("a", Map.of("\ud800", 1))));
        invalid("p.a", () -> Marshaller.object("p", JsonNodeFactory.instance.objectNode().put("a", "x\ud800")));
        invalid("p.a", () -> Marshaller.object("p", Map.of("a", new char[] {'\ud800'})));
    }

    @Test
    void nullKeysAreRefused() {
        Map<String, Object> map = new HashMap<>();
        map.put(null, 1);
        invalid("p", () -> Marshaller.object("p", map));
        invalid("p", () -> Marshaller.object("p", Map.of("a", map)));
    }

    @Test
    void keysThatAreTheSameTextAreRefused() {
        Map<Object, Object> map = new LinkedHashMap<>();
        map.put(1, "a");
        map.put("1", "b");
        invalid("p", () -> Marshaller.object("p", map));
    }

    /** Refers to itself. */
    public static final class Self {
        /** {@return this} */
        public Self getSelf() {
            return this;
        }
    }

    @Test
    void cyclesAreRefused() {
        Map<String, Object> map = new HashMap<>();
        map.put("self", map);
        invalid("p", () -> Marshaller.object("p", map));
        List<Object> list = new ArrayList<>();
        list.add(list);
        invalid("p", () -> Marshaller.object("p", Map.of("list", list)));
        invalid("p", () -> Marshaller.object("p", new Self()));
        Map<String, Object> one = new HashMap<>();
        Map<String, Object> other = new HashMap<>();
        one.put("other", other);
        other.put("one", one);
        E2BException e = invalid("p", () -> Marshaller.object("p", one));
        assertTrue(e.getMessage().contains("at most 100 levels"), e.getMessage());
    }

    @Test
    void depthIsBoundedNotTheStack() {
        assertEquals(100, levels(object(nestedMap(100))));
        invalid("p", () -> Marshaller.object("p", nestedMap(101)));
        invalid("p", () -> Marshaller.object("p", nestedMap(100_000)));
        ObjectNode node = JsonNodeFactory.instance.objectNode();
        for (int i = 0; i < 100_000; i++) {
            ObjectNode outer = JsonNodeFactory.instance.objectNode();
            outer.set("a", node);
            node = outer;
        }
        JsonNode deep = node;
        invalid("p", () -> Marshaller.object("p", deep));
        object("{\"a\":".repeat(99) + "{}" + "}".repeat(99));
        invalid("p", () -> Marshaller.object("p", "{\"a\":".repeat(100) + "{}" + "}".repeat(100)));
        invalid("p", () -> Marshaller.object("p", "{\"a\":".repeat(1_000_000)));
        invalid("p", () -> Marshaller.object("p", "{\"a\":" + "[".repeat(1_000_000)));
    }

    private static Map<String, Object> nestedMap(int levels) {
        Map<String, Object> map = new HashMap<>();
        for (int i = 1; i < levels; i++) {
            Map<String, Object> outer = new HashMap<>();
            outer.put("a", map);
            map = outer;
        }
        return map;
    }

    private static int levels(String json) {
        return (int) json.chars().filter(c -> c == '{').count();
    }

    /** Throws when it is read. */
    public static final class Failing {
        /** {@return never} */
        public String getValue() {
            throw new IllegalStateException("not today");
        }
    }

    @Test
    void objectsThatCannotBeReadAreRefusedWithTheirCause() {
        E2BException e = invalid("p", () -> Marshaller.object("p", new Failing()));
        Throwable root = e;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        assertEquals("not today", root.getMessage());
        invalid("p", () -> Marshaller.object("p", new Object()));
        invalid("p", () -> Marshaller.object("p", Map.of("when", java.time.Instant.EPOCH)));
        invalid("p", () -> Marshaller.object("p", Map.of("who", java.util.Optional.of("x"))));
    }

    @Test
    void aMapThatChangesWhileItIsReadIsRefused() {
        Map<String, Object> map = new HashMap<>();
        map.put("a", 1);
        map.put("b", new Object() {
            @SuppressWarnings("unused")
            public int getValue() {
                return 1;
            }
        });
        map.put("trap", new java.util.AbstractList<Integer>() {
            @Override
            public Integer get(int index) {
                throw new java.util.ConcurrentModificationException();
            }

            @Override
            public int size() {
                return 1;
            }
        });
        assertEquals(E2BErrorCode.INVALID_ARGUMENT,
                assertThrows(E2BException.class, () -> Marshaller.object("p", map)).code());
    }

    /** Text that Jackson writes without a look. */
    public record Raw(@JsonRawValue String value) {}

    @Test
    void rawTextIsParsed() {
        assertEquals("{\"value\":{\"a\":1}}", object(new Raw("{\"a\":1}")));
        invalid("p", () -> Marshaller.object("p", new Raw("{")));
        invalid("p", () -> Marshaller.object("p", new Raw("NaN")));
        invalid("p.value", () -> Marshaller.object("p", new Raw("\"\\ud800\"")));
    }

    @Test
    void objectOver64MiBIsRefused() {
        String text = "a".repeat(33 * 1024 * 1024);
        refused(E2BErrorCode.LIMIT_EXCEEDED, "p", () -> Marshaller.object("p", Map.of("a", text, "b", text)));
    }

    @Test
    void manyThreadsAtOnce() {
        List<CompletableFuture<String>> futures = new ArrayList<>();
        for (int i = 0; i < 64; i++) {
            int number = i;
            futures.add(CompletableFuture.supplyAsync(() -> object(Map.of("n", number))));
        }
        for (int i = 0; i < 64; i++) {
            assertEquals("{\"n\":" + i + "}", futures.get(i).join());
        }
    }
}
