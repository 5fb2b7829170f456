package io.e2bridge.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The short path and Jackson read every document alike. */
class DocumentReaderTest {
    private static final ObjectMapper JACKSON = new ObjectMapper();

    private final DocumentReader reader = new DocumentReader();
    private final DocumentReader readerWithObjects = DocumentReader.withObjects();

    private void assertReadsLikeJackson(String json) throws Exception {
        assertReadsLikeJackson(reader, json);
        assertReadsLikeJackson(readerWithObjects, json);
    }

    private static void assertReadsLikeJackson(DocumentReader reader, String json) throws Exception {
        JsonNode expected = JACKSON.readTree(json);
        ObjectNode found = reader.read(json.getBytes(StandardCharsets.UTF_8));
        assertEquals(expected, found, json);
        assertEquals(found, expected, json);
        assertEquals(expected.toString(), found.toString(), json);
        assertEquals(expected.hashCode(), found.hashCode(), json);
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "{}", "{\"a\":1}", "{\"a\":-1,\"b\":0,\"c\":2147483647,\"d\":2147483648,\"e\":-2147483648,\"f\":-2147483649}",
        "{\"a\":9223372036854775807,\"b\":-9223372036854775808,\"c\":9223372036854775808,\"d\":999999999999999999}",
        "{\"a\":0.1,\"b\":-0.0,\"c\":12.345678,\"d\":1e5,\"e\":1E-7,\"f\":0.30000000000000004,\"g\":9007199254740993.5,\"h\":1.7976931348623157e308}",
        "{\"a\":\"\",\"b\":\"x\",\"c\":\"a b c d e f g h i j k l m n o p\",\"d\":\"\\\"\",\"e\":\"line\\nline\",\"f\":\"\\u00e9\",\"g\":\"é€\"}",
        "{\"a\":\"\u007f\",\"b\":\"\\ud83d\\ude00\",\"c\":\"😀\",\"1234567\":\"1234567\",\"12345678\":\"12345678\"}",
        "{\"a\":null,\"b\":true,\"c\":false,\"d\":[],\"e\":{},\"f\":[1,[2,[3]],{\"a\":[]}]}",
        " { \"a\" : [ 1 , 2 ] } ", "{\"é\":1}", "{\"a\":1,\"b\":{\"a\":2,\"b\":{\"a\":3}}}", "{\"\":1}",
        "{\"list\":[{\"id\":1,\"n\":\"a\"},{\"id\":2,\"n\":\"b\"},{\"id\":3,\"other\":\"c\"}],\"total\":3}"
    })
    void readsLikeJackson(String json) throws Exception {
        // Twice: the second time with the keys remembered.
        assertReadsLikeJackson(json);
        assertReadsLikeJackson(json);
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "", "[]", "1", "null", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{\"a\":tru}", "{\"a\":truE}", "{\"a\":nul",
        "{\"a\":01}", "{\"a\":-}", "{\"a\":1.}", "{\"a\":.1}", "{\"a\":1.2.3}", "{\"a\":\"}", "{\"a\":\"\u0001\"}", "{a:1}", "{}{}", "{}x", "{\"a\" 1}",
        "{\"a\":[1 2]}", "{\"a\":[1,]}", "{\"a\":NaN}", "{\"a\":-01}", "{\"a\":00}", "{\"a\":1-}"
    })
    void refusesWhatIsNoObject(String json) {
        E2BException e = assertThrows(E2BException.class, () -> reader.read(json.getBytes(StandardCharsets.UTF_8)), json);
        assertEquals(E2BErrorCode.INTERNAL, e.code());
    }

    @Test
    void numbersOfEveryLength() throws Exception {
        Random random = new Random(1);
        for (int i = 0; i < 20_000; i++) {
            double number = switch (i % 4) {
                case 0 -> random.nextDouble();
                case 1 -> random.nextInt(1_000_000) / 1000.0;
                case 2 -> random.nextLong() / 1e6;
                default -> Double.longBitsToDouble(random.nextLong());
            };
            if (Double.isFinite(number)) {
                assertReadsLikeJackson("{\"n\":" + number + "}");
                assertReadsLikeJackson("{\"n\":" + new java.math.BigDecimal(number).setScale(6, java.math.RoundingMode.HALF_UP).toPlainString() + "}");
            }
            assertReadsLikeJackson("{\"n\":" + (random.nextLong() >> random.nextInt(64)) + "}");
        }
    }

    @Test
    void stringsWithTheEndAtEveryPlace() throws Exception {
        for (int length = 0; length < 40; length++) {
            for (int special = -1; special < length; special++) {
                StringBuilder text = new StringBuilder("x".repeat(length));
                for (char c : new char[] {'\\', '"', 'é', '\u0001', '\u007f', ' ', '\u0021', '\u0023'}) {
                    if (special >= 0) {
                        text.setCharAt(special, c);
                    }
                    assertReadsLikeJackson(JACKSON.writeValueAsString(java.util.Map.of("k", text.toString())));
                }
            }
        }
    }

    @Test
    void randomTrees() throws Exception {
        Random random = new Random(2);
        for (int i = 0; i < 3_000; i++) {
            assertReadsLikeJackson(randomObject(random, 4).toString());
        }
    }

    @Test
    void randomDamage() {
        Random random = new Random(3);
        for (int i = 0; i < 20_000; i++) {
            byte[] json = randomObject(random, 3).toString().getBytes(StandardCharsets.UTF_8);
            json[random.nextInt(json.length)] = (byte) random.nextInt(256);
            JsonNode expected = null;
            try {
                expected = Json.reader().readTree(json);
            } catch (java.io.IOException refused) {
                // The reader must refuse it too.
            }
            String text = new String(json, StandardCharsets.ISO_8859_1);
            if (expected != null && expected.isObject()) {
                assertEquals(expected, reader.read(json), text);
            } else {
                assertThrows(E2BException.class, () -> reader.read(json), text);
            }
        }
    }

    private static ObjectNode randomObject(Random random, int levels) {
        ObjectNode object = JACKSON.createObjectNode();
        int keys = random.nextInt(8);
        for (int i = 0; i < keys; i++) {
            object.set("key_" + random.nextInt(20), randomValue(random, levels - 1));
        }
        return object;
    }

    private static JsonNode randomValue(Random random, int levels) {
        return switch (random.nextInt(levels > 0 ? 8 : 6)) {
            case 0 -> JACKSON.getNodeFactory().nullNode();
            case 1 -> JACKSON.getNodeFactory().booleanNode(random.nextBoolean());
            case 2 -> JACKSON.getNodeFactory().numberNode(random.nextInt());
            case 3 -> JACKSON.getNodeFactory().numberNode(random.nextLong());
            case 4 -> JACKSON.getNodeFactory().numberNode(random.nextDouble());
            case 5 -> JACKSON.getNodeFactory().textNode("text " + random.nextInt() + (random.nextInt(5) == 0 ? "\n" : ""));
            case 6 -> randomObject(random, levels);
            default -> {
                var array = JACKSON.createArrayNode();
                int items = random.nextInt(5);
                for (int i = 0; i < items; i++) {
                    array.add(randomValue(random, levels - 1));
                }
                yield array;
            }
        };
    }

    @Test
    void deepDocumentsAreReadOrRefusedNotOverflown() throws Exception {
        assertReadsLikeJackson("{\"a\":".repeat(500) + "1" + "}".repeat(500));
        String deep = "{\"a\":".repeat(200_000) + "1" + "}".repeat(200_000);
        assertThrows(E2BException.class, () -> reader.read(deep.getBytes(StandardCharsets.UTF_8)));
    }

    @Test
    void largeDocuments() throws Exception {
        StringBuilder many = new StringBuilder("{\"k0\":0");
        for (int i = 1; i < 5_000; i++) {
            many.append(",\"k").append(i).append("\":").append(i);
        }
        assertReadsLikeJackson(many.append('}').toString());
        String text = "z".repeat(30_000_000);
        assertEquals(text, reader.read(("{\"content_base64\":\"" + text + "\"}").getBytes(StandardCharsets.UTF_8))
                .get("content_base64").textValue());
        String escaped = "\\n" + text;
        assertEquals("\n" + text, reader.read(("{\"stdout\":\"" + escaped + "\"}").getBytes(StandardCharsets.UTF_8))
                .get("stdout").textValue());
    }

    @Test
    void treesAreIndependent() {
        byte[] json = "{\"a\":{\"b\":1}}".getBytes(StandardCharsets.UTF_8);
        ObjectNode first = reader.read(json);
        ObjectNode second = reader.read(json);
        assertNotSame(first, second);
        ((ObjectNode) first.get("a")).put("b", 2);
        first.put("c", 3);
        first.remove("a");
        assertEquals("{\"a\":{\"b\":1}}", second.toString());
    }

    @Test
    void manyThreadsWithDocumentsOfDifferentShapes() {
        List<CompletableFuture<Void>> futures = new ArrayList<>();
        for (int t = 0; t < 8; t++) {
            int seed = t;
            futures.add(CompletableFuture.runAsync(() -> {
                Random random = new Random(seed);
                for (int i = 0; i < 3_000; i++) {
                    ObjectNode expected = randomObject(random, 3);
                    assertEquals(expected.toString(), reader.read(expected.toString().getBytes(StandardCharsets.UTF_8)).toString());
                }
            }));
        }
        futures.forEach(CompletableFuture::join);
    }

    @Test
    void anObjectThatComesAgainIsAnotherTree() throws Exception {
        String json = "{\"id\":1,\"limits\":{\"memory\":2,\"list\":[1,{\"a\":null}]},\"after\":\"x\"}";
        ObjectNode first = readerWithObjects.read(json.getBytes(StandardCharsets.UTF_8));
        ((ObjectNode) first.get("limits")).put("memory", 3).withArray("list").removeAll();
        ObjectNode second = readerWithObjects.read(json.getBytes(StandardCharsets.UTF_8));
        assertEquals(JACKSON.readTree(json), second);
        ((ObjectNode) second.get("limits").get("list").get(1)).put("a", 1);
        assertReadsLikeJackson(readerWithObjects, json);
        // The object changes, stays, changes, and is absent.
        for (String limits : new String[] {"{\"memory\":4}", "{\"memory\":4}", "{\"memory\":55}", "{}", "{\"memory\":4}", "[]", "null"}) {
            assertReadsLikeJackson(readerWithObjects, "{\"id\":1,\"limits\":" + limits + ",\"after\":\"x\"}");
        }
    }
}
