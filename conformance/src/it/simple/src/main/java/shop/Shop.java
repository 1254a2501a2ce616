package shop;

import lockstep.qmp.JsonOutputVisitor;
import lockstep.qmp.QmpException;
import shop.api.BuyArguments;
import shop.api.Colour;
import shop.api.Kettle;
import shop.api.Payment;
import shop.api.ShopCommands;

/** Sells by the generated interface. */
public final class Shop implements ShopCommands {
    @Override
    public Kettle buy(BuyArguments arguments) throws QmpException {
        return arguments.kettles().stream()
                .filter(k -> k.colour() == Colour.RED)
                .findFirst()
                .orElseThrow(() -> new QmpException("All sold."));
    }

    @Override
    public void pay(Payment payment) {
        System.out.println(JsonOutputVisitor.toJson(payment, Payment::write));
    }
}
