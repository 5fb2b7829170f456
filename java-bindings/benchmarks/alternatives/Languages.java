import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.StringJoiner;
import org.graalvm.polyglot.Context;
import org.graalvm.polyglot.Engine;
import org.graalvm.polyglot.Source;

/**
 * GraalJS or GraalPy inside a JVM: a context for each run, and one context for all. Usage: Languages LANGUAGE CODE EXPECTED.
 * Reads lines "OPERATION COUNT" and answers each with one line: COUNT times in nanoseconds, or "error TEXT".
 */
public final class Languages {
  private final Engine engine = Engine.newBuilder().option("engine.WarnInterpreterOnly", "false").build();
  private final String language;
  private final Source code;
  private final String expected;
  private final Context kept;

  private Languages(String language, String code, String expected) {
    this.language = language;
    this.code = Source.create(language, code);
    this.expected = expected;
    kept = context();
  }

  private Context context() {
    return Context.newBuilder(language).engine(engine).build();
  }

  private String once(String operation) {
    return switch (operation) {
      case "kept-context" -> kept.eval(code).toString();
      case "new-context" -> {
        try (Context context = context()) {
          yield context.eval(code).toString();
        }
      }
      default -> throw new IllegalArgumentException(operation);
    };
  }

  private String times(String operation, int count) {
    StringJoiner times = new StringJoiner(" ");
    for (int i = 0; i < count; i++) {
      long begin = System.nanoTime();
      String result = once(operation);
      times.add(Long.toString(System.nanoTime() - begin));
      if (!result.equals(expected)) {
        return "error " + operation + ": got " + result;
      }
    }
    return times.toString();
  }

  public static void main(String[] arguments) throws Exception {
    Languages languages = new Languages(arguments[0], arguments[1], arguments[2]);
    BufferedReader requests = new BufferedReader(new InputStreamReader(System.in));
    for (String line = requests.readLine(); line != null; line = requests.readLine()) {
      String[] words = line.split(" ");
      String answer;
      try {
        answer = languages.times(words[0], Integer.parseInt(words[1]));
      } catch (RuntimeException e) {
        answer = "error " + e;
      }
      System.out.println(answer.replace('\n', ' '));
    }
  }
}
