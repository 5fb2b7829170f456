package io.e2bridge.internal;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.StreamWriteConstraints;
import com.fasterxml.jackson.core.StreamWriteFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.json.JsonMapper;

/** The Jackson settings of this module. All are immutable and shared. */
final class Json {
    /** Deepest nesting of an object given by a caller: below the bound of the reader on the other side. */
    static final int MOST_LEVELS = 100;

    /** For what callers give: duplicate keys are refused on both ways, and nesting is bounded before the stack is. */
    static final JsonFactory STRICT = JsonFactory.builder()
            .streamReadConstraints(StreamReadConstraints.builder()
                    .maxStringLength(Integer.MAX_VALUE)
                    .maxNestingDepth(MOST_LEVELS)
                    .build())
            .streamWriteConstraints(
                    StreamWriteConstraints.builder().maxNestingDepth(MOST_LEVELS).build())
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(StreamWriteFeature.STRICT_DUPLICATE_DETECTION)
            .build();

    private Json() {}

    // Each mapper takes tens of milliseconds to start, and many programs need none of them.

    private static final class Reader {
        static final ObjectReader INSTANCE = JsonMapper.builder(JsonFactory.builder()
                        .streamReadConstraints(StreamReadConstraints.builder()
                                .maxStringLength(Integer.MAX_VALUE)
                                .build())
                        .build())
                .build()
                .readerFor(JsonNode.class)
                .with(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);
    }

    private static final class Writer {
        static final ObjectWriter INSTANCE = JsonMapper.builder(STRICT).build().writer();
    }

    private static final class Plain {
        static final JsonMapper INSTANCE = JsonMapper.builder().build();
    }

    /** {@return what reads result documents} The bound on string length is lifted: a file's content is one string. */
    static ObjectReader reader() {
        return Reader.INSTANCE;
    }

    /** {@return what writes what callers give} */
    static ObjectWriter writer() {
        return Writer.INSTANCE;
    }

    /** {@return the value as String, Number, Boolean, List, Map or null} */
    static Object plain(JsonNode value) {
        return Plain.INSTANCE.convertValue(value, Object.class);
    }
}
