package io.e2bridge.bench;

import java.util.List;
import java.util.Locale;

/**
 * One line of the table.
 *
 * @param id its short name, for {@code --only} and the JSON document
 * @param group the heading it stands under
 * @param title what was done
 * @param unit what its samples are
 * @param sustained true: several callers at once, so that what counts is how many calls a second they make together
 * @param target what it is to reach; null: nothing
 * @param floor id of the row that says what the machine allows; null: none
 * @param against ids of the rows that do the same by other means
 * @param elsewhere its median on the machine that the targets were set on; NaN: not known
 */
record Row(String id, String group, String title, Unit unit, boolean sustained, Target target, String floor, List<String> against, double elsewhere) {
    static Row of(String id, String group, String title) {
        return new Row(id, group, title, Unit.MICROSECONDS, false, null, null, List.of(), Double.NaN);
    }

    Row atMost(double limit) {
        return new Row(id, group, title, unit, sustained, new Target(limit, false), floor, against, elsewhere);
    }

    Row atLeastPerSecond(double limit) {
        return new Row(id, group, title, unit, sustained, new Target(limit, true), floor, against, elsewhere);
    }

    Row in(Unit newUnit) {
        return new Row(id, group, title, newUnit, sustained, target, floor, against, elsewhere);
    }

    Row underLoad() {
        return new Row(id, group, title, unit, true, target, floor, against, elsewhere);
    }

    Row over(String newFloor) {
        return new Row(id, group, title, unit, sustained, target, newFloor, against, elsewhere);
    }

    Row against(String... ids) {
        return new Row(id, group, title, unit, sustained, target, floor, List.of(ids), elsewhere);
    }

    Row elsewhere(double median) {
        return new Row(id, group, title, unit, sustained, target, floor, against, median);
    }

    boolean matches(String text) {
        String lower = text.toLowerCase(Locale.ROOT);
        return (id + "\n" + group + "\n" + title).toLowerCase(Locale.ROOT).contains(lower);
    }
}
