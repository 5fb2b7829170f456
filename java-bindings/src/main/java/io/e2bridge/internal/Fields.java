package io.e2bridge.internal;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeType;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;

/**
 * Typed reads of a document. A key that is missing or of another type is a defect of whoever wrote the document, reported as
 * INTERNAL with the key's name; the {@code optional} reads answer null for a key that is missing or null.
 */
public final class Fields {
    private Fields() {}

    /**
     * A string.
     *
     * @param json the document
     * @param key the key
     * @return the text
     */
    public static String text(JsonNode json, String key) {
        JsonNode value = json.get(key);
        if (value == null || !value.isTextual()) {
            throw wrong(key, "a string", value);
        }
        return value.textValue();
    }

    /**
     * A string or null.
     *
     * @param json the document
     * @param key the key
     * @return the text, or null
     */
    public static String optionalText(JsonNode json, String key) {
        return absent(json, key) ? null : text(json, key);
    }

    /**
     * A whole number within {@code int}.
     *
     * @param json the document
     * @param key the key
     * @return the number
     */
    public static int integer(JsonNode json, String key) {
        JsonNode value = json.get(key);
        if (value == null || !value.isIntegralNumber() || !value.canConvertToInt()) {
            throw wrong(key, "a whole number of 32 bits", value);
        }
        return value.intValue();
    }

    /**
     * A whole number within {@code long}.
     *
     * @param json the document
     * @param key the key
     * @return the number
     */
    public static long whole(JsonNode json, String key) {
        JsonNode value = json.get(key);
        if (value == null || !value.isIntegralNumber() || !value.canConvertToLong()) {
            throw wrong(key, "a whole number of 64 bits", value);
        }
        return value.longValue();
    }

    /**
     * A whole number or null.
     *
     * @param json the document
     * @param key the key
     * @return the number, or null
     */
    public static Long optionalWhole(JsonNode json, String key) {
        return absent(json, key) ? null : whole(json, key);
    }

    /**
     * A number.
     *
     * @param json the document
     * @param key the key
     * @return the number
     */
    public static double number(JsonNode json, String key) {
        JsonNode value = json.get(key);
        if (value == null || !value.isNumber()) {
            throw wrong(key, "a number", value);
        }
        return value.doubleValue();
    }

    /**
     * A number or null.
     *
     * @param json the document
     * @param key the key
     * @return the number, or null
     */
    public static Double optionalNumber(JsonNode json, String key) {
        return absent(json, key) ? null : number(json, key);
    }

    /**
     * A flag.
     *
     * @param json the document
     * @param key the key
     * @return the flag
     */
    public static boolean flag(JsonNode json, String key) {
        JsonNode value = json.get(key);
        if (value == null || !value.isBoolean()) {
            throw wrong(key, "true or false", value);
        }
        return value.booleanValue();
    }

    /**
     * A point in time.
     *
     * @param json the document
     * @param key the key
     * @return the point in time
     */
    public static Instant time(JsonNode json, String key) {
        String text = text(json, key);
        try {
            return OffsetDateTime.parse(text).toInstant();
        } catch (DateTimeException e) {
            throw new E2BException(
                    E2BErrorCode.INTERNAL, key + ": not an RFC 3339 time in the document", null, Map.of("key", key), e);
        }
    }

    /**
     * A point in time or null.
     *
     * @param json the document
     * @param key the key
     * @return the point in time, or null
     */
    public static Instant optionalTime(JsonNode json, String key) {
        return absent(json, key) ? null : time(json, key);
    }

    /**
     * An object.
     *
     * @param json the document
     * @param key the key
     * @return the object
     */
    public static JsonNode object(JsonNode json, String key) {
        JsonNode value = json.get(key);
        if (value == null || !value.isObject()) {
            throw wrong(key, "an object", value);
        }
        return value;
    }

    /**
     * An object or null, wrapped.
     *
     * @param json the document
     * @param key the key
     * @param wrap makes the result of the object
     * @param <T> the result
     * @return the wrapped object, or null
     */
    public static <T> T optionalObject(JsonNode json, String key, Function<JsonNode, T> wrap) {
        return absent(json, key) ? null : wrap.apply(object(json, key));
    }

    /**
     * Any value or null.
     *
     * @param json the document
     * @param key the key
     * @return the value, or null
     */
    public static JsonNode optionalValue(JsonNode json, String key) {
        return absent(json, key) ? null : json.get(key);
    }

    /**
     * The exact bytes of a text that was made of bytes.
     *
     * @param text the text
     * @param base64 the bytes in base64; null when the text is exact
     * @return a new array
     */
    public static byte[] exact(String text, String base64) {
        if (base64 == null) {
            return text.getBytes(StandardCharsets.UTF_8);
        }
        try {
            return Base64.getDecoder().decode(base64);
        } catch (IllegalArgumentException e) {
            throw new E2BException(E2BErrorCode.INTERNAL, "the document's base64 is malformed", null, null, e);
        }
    }

    /**
     * An array of strings.
     *
     * @param json the document
     * @param key the key
     * @return an unmodifiable list
     */
    public static List<String> texts(JsonNode json, String key) {
        List<String> texts = new ArrayList<>();
        for (JsonNode item : array(json, key)) {
            if (!item.isTextual()) {
                throw wrong(key, "an array of strings", item);
            }
            texts.add(item.textValue());
        }
        return Collections.unmodifiableList(texts);
    }

    /**
     * An array of objects, each wrapped.
     *
     * @param json the document
     * @param key the key
     * @param wrap makes the result of one object
     * @param <T> the result of one object
     * @return an unmodifiable list
     */
    public static <T> List<T> objects(JsonNode json, String key, Function<JsonNode, T> wrap) {
        List<T> objects = new ArrayList<>();
        for (JsonNode item : array(json, key)) {
            if (!item.isObject()) {
                throw wrong(key, "an array of objects", item);
            }
            objects.add(wrap.apply(item));
        }
        return Collections.unmodifiableList(objects);
    }

    /**
     * An object whose values are objects, each wrapped.
     *
     * @param json the document
     * @param key the key
     * @param wrap makes the result of one object
     * @param <T> the result of one object
     * @return an unmodifiable map in the document's order
     */
    public static <T> Map<String, T> map(JsonNode json, String key, Function<JsonNode, T> wrap) {
        Map<String, T> map = new LinkedHashMap<>();
        for (Map.Entry<String, JsonNode> entry : object(json, key).properties()) {
            if (!entry.getValue().isObject()) {
                throw wrong(key, "an object of objects", entry.getValue());
            }
            map.put(entry.getKey(), wrap.apply(entry.getValue()));
        }
        return Collections.unmodifiableMap(map);
    }

    private static JsonNode array(JsonNode json, String key) {
        JsonNode value = json.get(key);
        if (value == null || !value.isArray()) {
            throw wrong(key, "an array", value);
        }
        return value;
    }

    private static boolean absent(JsonNode json, String key) {
        JsonNode value = json.get(key);
        return value == null || value.isNull();
    }

    private static E2BException wrong(String key, String expected, JsonNode found) {
        JsonNodeType type = found == null ? JsonNodeType.MISSING : found.getNodeType();
        return new E2BException(
                E2BErrorCode.INTERNAL,
                key + ": must be " + expected + " in the document, is " + type.name().toLowerCase(Locale.ROOT),
                null,
                Map.of("key", key),
                null);
    }
}
