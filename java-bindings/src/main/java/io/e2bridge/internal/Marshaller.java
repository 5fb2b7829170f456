package io.e2bridge.internal;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Turns Java arguments into what crosses the boundary: UTF-8 text and 64-bit integers. What cannot be represented exactly is
 * refused here, naming the parameter, before anything native is called.
 *
 * <p>Text crosses as bytes with a length, absent as null. Booleans, objects and lists cross as JSON text. The arrays returned
 * for constants are shared and must not be written.
 */
public final class Marshaller {
    /** Longest text that crosses, bytes of UTF-8. */
    public static final int MOST_TEXT_BYTES = 64 * 1024 * 1024;

    /** Largest file content in one call, bytes. */
    public static final int MOST_CONTENT_BYTES = 256 * 1024 * 1024;

    /** What an absent integer is; the same value as {@code E2B_ABSENT} of the header. */
    static final long ABSENT = Long.MIN_VALUE;

    private static final byte[] TRUE = {'t', 'r', 'u', 'e'};
    private static final byte[] FALSE = {'f', 'a', 'l', 's', 'e'};

    private Marshaller() {}

    /**
     * A text that must be there.
     *
     * @param parameter its name in the contract
     * @param text the text
     * @return UTF-8
     * @throws E2BException INVALID_ARGUMENT for null or a lone surrogate, LIMIT_EXCEEDED over {@link #MOST_TEXT_BYTES}
     */
    public static byte[] text(String parameter, String text) {
        if (text == null) {
            throw invalid(parameter, "must not be null");
        }
        return utf8(parameter, text);
    }

    /**
     * A text that may be absent.
     *
     * @param parameter its name in the contract
     * @param text the text, or null
     * @return UTF-8, or null
     * @throws E2BException as {@link #text}, but null is absent
     */
    public static byte[] optionalText(String parameter, String text) {
        return text == null ? null : utf8(parameter, text);
    }

    /**
     * A flag that may be absent.
     *
     * @param flag the flag, or null
     * @return {@code true} or {@code false} in UTF-8, or null
     */
    public static byte[] flag(Boolean flag) {
        return flag == null ? null : flag ? TRUE : FALSE;
    }

    /**
     * A whole number that may be absent.
     *
     * @param number the number, or null
     * @return the number, or {@code E2B_ABSENT}
     */
    public static long integer(Integer number) {
        return number == null ? ABSENT : number;
    }

    /**
     * The content of a file.
     *
     * @param parameter its name in the contract
     * @param content the bytes
     * @return the same array
     * @throws E2BException INVALID_ARGUMENT for null, LIMIT_EXCEEDED over {@link #MOST_CONTENT_BYTES}
     */
    public static byte[] content(String parameter, byte[] content) {
        if (content == null) {
            throw invalid(parameter, "must not be null");
        }
        if (content.length > MOST_CONTENT_BYTES) {
            throw tooLong(parameter, content.length, MOST_CONTENT_BYTES);
        }
        return content;
    }

    /**
     * A list of texts that must be there; an empty one is one.
     *
     * @param parameter its name in the contract
     * @param texts the texts
     * @return a JSON array of strings in UTF-8
     * @throws E2BException INVALID_ARGUMENT naming the element for null, for what is no string and for a lone surrogate;
     *     LIMIT_EXCEEDED when the JSON text is over {@link #MOST_TEXT_BYTES}
     */
    public static byte[] texts(String parameter, List<String> texts) {
        if (texts == null) {
            throw invalid(parameter, "must not be null");
        }
        return optionalTexts(parameter, texts);
    }

    /**
     * A list of texts that may be absent.
     *
     * @param parameter its name in the contract
     * @param texts the texts, or null
     * @return a JSON array of strings in UTF-8, or null
     * @throws E2BException as {@link #texts}, but null is absent
     */
    public static byte[] optionalTexts(String parameter, List<String> texts) {
        if (texts == null) {
            return null;
        }
        BoundedOutput output = new BoundedOutput(parameter, MOST_TEXT_BYTES);
        try (JsonGenerator json = Json.STRICT.createGenerator(output)) {
            json.writeStartArray();
            int index = 0;
            // Typed Object: a raw list may hold anything, which is for us to refuse and not for a cast.
            for (Object text : texts) {
                String place = parameter + "[" + index++ + "]";
                if (!(text instanceof String string)) {
                    throw invalid(place, "must be a string, got " + kind(text));
                }
                checkSurrogates(place, string);
                json.writeString(string);
            }
            json.writeEndArray();
        } catch (IOException e) {
            throw notRepresentable(parameter, e);
        } catch (E2BException e) {
            throw e;
        } catch (RuntimeException e) {
            throw unreadable(parameter, e);
        }
        return output.toByteArray();
    }

    /**
     * An object that must be there.
     *
     * @param parameter its name in the contract
     * @param object Map, record, bean, {@link JsonNode}, or a String that is the text of a JSON object
     * @return a JSON object in UTF-8
     * @throws E2BException INVALID_ARGUMENT naming the place for null, for what is not a JSON object, and for what JSON cannot
     *     hold: NaN and infinities, lone surrogates, null or duplicate keys, more than 100 levels or a cycle; LIMIT_EXCEEDED
     *     when the JSON text is over {@link #MOST_TEXT_BYTES}
     */
    public static byte[] object(String parameter, Object object) {
        if (object == null) {
            throw invalid(parameter, "must not be null");
        }
        return optionalObject(parameter, object);
    }

    /**
     * An object that may be absent.
     *
     * @param parameter its name in the contract
     * @param object as {@link #object}, or null
     * @return a JSON object in UTF-8, or null
     * @throws E2BException as {@link #object}, but null is absent
     */
    public static byte[] optionalObject(String parameter, Object object) {
        if (object == null) {
            return null;
        }
        if (object instanceof String text) {
            byte[] json = utf8(parameter, text);
            checkObjectText(parameter, json);
            return json;
        }
        BoundedOutput output = new BoundedOutput(parameter, MOST_TEXT_BYTES);
        StrictGenerator json = null;
        try {
            json = new StrictGenerator(Json.STRICT.createGenerator(output), parameter);
            Json.writer().writeValue(json, object);
            json.close();
        } catch (IOException e) {
            throw notRepresentable(parameter, e);
        } catch (E2BException e) {
            throw e;
        } catch (RuntimeException e) {
            throw unreadable(parameter, e);
        }
        byte[] text = output.toByteArray();
        if (json.wroteRaw() || text.length == 0) {
            checkObjectText(parameter, text);
        }
        return text;
    }

    /**
     * A client's settings: texts, whole numbers, and objects of such. No mapper is started for it, which would be a good part of the
     * time to the first client.
     *
     * @param parameter its name in the contract
     * @param settings the tree
     * @return a JSON object in UTF-8
     * @throws E2BException as {@link #object}
     */
    public static byte[] settings(String parameter, ObjectNode settings) {
        BoundedOutput output = new BoundedOutput(parameter, MOST_TEXT_BYTES);
        try (JsonGenerator json = new StrictGenerator(Json.STRICT.createGenerator(output), parameter);
                JsonParser tree = settings.traverse()) {
            tree.nextToken();
            json.copyCurrentStructure(tree);
        } catch (IOException e) {
            throw notRepresentable(parameter, e);
        }
        return output.toByteArray();
    }

    /** Strictly one JSON object, its strings and keys well-formed. */
    private static void checkObjectText(String parameter, byte[] text) {
        try (JsonParser json = Json.STRICT.createParser(text)) {
            JsonToken first = json.nextToken();
            if (first != JsonToken.START_OBJECT) {
                throw invalid(parameter, "must be a JSON object, got " + kind(first));
            }
            int depth = 1;
            while (depth > 0) {
                JsonToken token = json.nextToken();
                if (token == null) {
                    throw invalid(parameter, "must be a JSON object, but the text ends inside it");
                }
                if (token.isStructStart()) {
                    depth++;
                } else if (token.isStructEnd()) {
                    depth--;
                } else if (token == JsonToken.FIELD_NAME || token == JsonToken.VALUE_STRING) {
                    checkSurrogates(place(parameter, json), json.getText());
                }
            }
            if (json.nextToken() != null) {
                throw invalid(parameter, "must be one JSON object, but something follows it");
            }
        } catch (IOException e) {
            throw notRepresentable(parameter, e);
        }
    }

    private static String place(String parameter, JsonParser json) {
        return StrictGenerator.place(parameter, json.getParsingContext());
    }

    private static byte[] utf8(String parameter, String text) {
        if (text.length() > MOST_TEXT_BYTES) {
            throw tooLong(parameter, text.length(), MOST_TEXT_BYTES);
        }
        if (isAscii(text)) {
            return text.getBytes(StandardCharsets.US_ASCII);
        }
        byte[] bytes;
        try {
            // A new encoder reports what it cannot encode; String.getBytes would put a question mark there.
            ByteBuffer encoded = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
            bytes = encoded.remaining() == encoded.array().length
                    ? encoded.array()
                    : Arrays.copyOf(encoded.array(), encoded.remaining());
        } catch (CharacterCodingException e) {
            checkSurrogates(parameter, text);
            throw notRepresentable(parameter, e);
        }
        if (bytes.length > MOST_TEXT_BYTES) {
            throw tooLong(parameter, bytes.length, MOST_TEXT_BYTES);
        }
        return bytes;
    }

    private static boolean isAscii(String text) {
        for (int i = 0; i < text.length(); i++) {
            if (text.charAt(i) >= 0x80) {
                return false;
            }
        }
        return true;
    }

    /** Refuses a surrogate without its other half, which UTF-8 cannot hold. */
    static void checkSurrogates(String place, String text) {
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (!Character.isSurrogate(c)) {
                continue;
            }
            if (Character.isLowSurrogate(c) || i + 1 == text.length() || !Character.isLowSurrogate(text.charAt(i + 1))) {
                throw new E2BException(
                        E2BErrorCode.INVALID_ARGUMENT,
                        place + ": must be well-formed UTF-16, but has a lone surrogate at index " + i,
                        place,
                        Map.of("index", i),
                        null);
            }
            i++;
        }
    }

    static E2BException invalid(String place, String rule) {
        return new E2BException(E2BErrorCode.INVALID_ARGUMENT, place + ": " + rule, place, null, null);
    }

    static E2BException tooLong(String parameter, long length, long most) {
        return new E2BException(
                E2BErrorCode.LIMIT_EXCEEDED,
                parameter + ": must be at most " + most + " bytes, got " + length,
                parameter,
                Map.of("limit_bytes", most),
                null);
    }

    /** Getters and iterators of the caller's own failed, for example those of a list that another thread changes. */
    private static E2BException unreadable(String parameter, RuntimeException cause) {
        return new E2BException(
                E2BErrorCode.INVALID_ARGUMENT, parameter + ": cannot be read: " + cause, parameter, null, cause);
    }

    private static E2BException notRepresentable(String parameter, IOException cause) {
        for (Throwable e = cause; e != null; e = e.getCause()) {
            // Jackson wraps what the generator throws.
            if (e instanceof E2BException refused) {
                return refused;
            }
            if (e instanceof StreamConstraintsException) {
                return new E2BException(
                        E2BErrorCode.INVALID_ARGUMENT,
                        parameter + ": must have at most " + Json.MOST_LEVELS
                                + " levels, got more (or an object that contains itself)",
                        parameter,
                        Map.of("limit_levels", Json.MOST_LEVELS),
                        cause);
            }
        }
        String reason = cause instanceof JsonProcessingException json ? json.getOriginalMessage() : cause.getMessage();
        return new E2BException(
                E2BErrorCode.INVALID_ARGUMENT, parameter + ": must be JSON: " + reason, parameter, null, cause);
    }

    private static String kind(Object value) {
        return value == null ? "null" : "an object of " + value.getClass().getName();
    }

    private static String kind(JsonToken token) {
        if (token == null) {
            return "nothing";
        }
        return switch (token) {
            case START_ARRAY -> "an array";
            case VALUE_STRING -> "a string";
            case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> "a number";
            case VALUE_TRUE, VALUE_FALSE -> "a boolean";
            case VALUE_NULL -> "null";
            default -> token.name().toLowerCase(Locale.ROOT);
        };
    }
}
