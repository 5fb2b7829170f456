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

    /** Reads result documents. The bound on string length is lifted: a file's content is one string. */
    static final ObjectReader READER = JsonMapper.builder(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxStringLength(Integer.MAX_VALUE)
                            .build())
                    .build())
            .build()
            .readerFor(JsonNode.class)
            .with(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private static final JsonMapper PLAIN = JsonMapper.builder().build();

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

    /** Writes what callers give. */
    static final ObjectWriter WRITER = JsonMapper.builder(STRICT).build().writer();

    private Json() {}

    /** {@return the value as String, Number, Boolean, List, Map or null} */
    static Object plain(JsonNode value) {
        return PLAIN.convertValue(value, Object.class);
    }
}
