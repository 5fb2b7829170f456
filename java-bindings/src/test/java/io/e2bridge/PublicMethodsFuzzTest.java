package io.e2bridge;

import com.code_intelligence.jazzer.api.FuzzedDataProvider;
import com.code_intelligence.jazzer.junit.FuzzTest;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Tag;

/**
 * Arguments of every public method, chosen by a fuzzer: a document or a typed exception comes of each call. The ordinary run
 * makes the calls of the inputs beside this class in the resources; {@code scripts/fuzz-java} looks for new ones.
 */
@Tag("fuzz")
class PublicMethodsFuzzTest {
    private static final int MOST_CALLS = 8;

    /** Opened by the first input and used by all: a client for each would leave no time for calls. */
    private static Engine engine;

    @AfterAll
    static void close() {
        if (engine != null) {
            engine.close();
            engine = null;
        }
    }

    @FuzzTest(maxDuration = "")
    void calls(FuzzedDataProvider data) {
        AnyCall calls = new AnyCall(engine(), choices(data));
        for (int call = 0; call < MOST_CALLS && data.remainingBytes() > 0; call++) {
            calls.make();
        }
    }

    @FuzzTest(maxDuration = "")
    void settings(FuzzedDataProvider data) {
        AnyCall.open(engine().directory(), choices(data));
    }

    private static Engine engine() {
        if (engine == null) {
            engine = Engine.open();
        }
        return engine;
    }

    private static AnyCall.Choices choices(FuzzedDataProvider data) {
        return new AnyCall.Choices() {
            @Override
            public int below(int bound) {
                return data.consumeInt(0, bound - 1);
            }

            @Override
            public int number() {
                return data.consumeInt();
            }

            @Override
            public String text() {
                return data.consumeString(data.consumeInt(0, 64));
            }

            @Override
            public byte[] bytes() {
                return data.consumeBytes(data.consumeInt(0, 256));
            }
        };
    }
}
